"""scores -> accuracies, effects, and the few sentences they allow.

grid       is every cell there, and did all answer the same items?
views      rows per task -> task, domain, overall; per backbone -> family, pooled
cells      scores -> accuracies
contrasts  accuracies per draw -> differences between arms and trends over shares, tested over draws
items      with one draw: the paired tests over items
dose       the best share and its confidence set
agreement  do the backbones agree?
adjust     several tests: Holm, Benjamini-Hochberg
student    Student's t where tables end
notes      what limits each effect, in fixed words
effects    all of these -> the effects table
power      the smallest difference a design would show, and the cheapest design that shows it
sentences  one effect -> the one sentence it allows
words      effects -> five plain lines
"""
