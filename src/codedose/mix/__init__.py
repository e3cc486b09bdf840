"""Labelled examples -> the training set of each arm, as alike as their shares allow.

lines     how much of each label an arm holds, and the line in which its examples stand
strata    lines in which coding and other have one profile of reply length and turns
material  the examples at hand: what they hold, and what they cost in tokens, counted when asked
fit       the front of a line whose tokens meet a target
steps     examples -> optimiser steps of equal tokens
controls  code without what a negative control takes from it
partners  other examples as long as the coding ones they replace
arms      all of it: one arm of one draw
export    the arms as files for TRL, Axolotl and LLaMA-Factory
"""

from codedose.mix.arms import Drawn, draw

__all__ = ["Drawn", "draw"]
