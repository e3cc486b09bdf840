"""What the rows of effects are called, for those who write them and those who show them.

The names of contrasts that are no difference of two arms, of methods, and pieces of notes that are looked for again.
"""

LINEAR, QUADRATIC, CUBIC = "linear trend", "quadratic trend", "cubic trend"
MEASURED = f"{LINEAR} (measured share)"
CORRECTED = f"{LINEAR} (corrected for label error)"

SAME_SIGN, CONCORDANCE, INTERACTION = "consistency", "Kendall's W", "arm x backbone"
PER_SCALE = " per tenfold scale"  # ends the name of the difference whose slope over scale it is
OUTSIDE = "A/A outside"

T_OVER_DRAWS = "t over draws"
ITEM_NOISE, DRAW_NOISE = "item noise", "draw noise"

CHANGES = "changes under"  # begins the piece of a note that lists the readings with another verdict
SEVERAL = "not adjusted for several tests"
