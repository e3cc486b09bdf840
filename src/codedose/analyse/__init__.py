"""scores -> accuracies, effects, curves, and the few sentences they allow; before and after a study, what to do.

From scores to effects:
grid       is every cell there, and did all answer the same items?
views      rows per task -> task, domain, overall; per backbone -> family, pooled
cells      scores -> accuracies
contrasts  accuracies per draw -> differences between arms and trends over shares, tested over draws
items      with one draw: the paired tests over items
gaps       scores -> what each cluster of items adds to each difference
noise      the same differences by bootstrap; what of their error is items, and what is draws
relative   the same differences in per cent of what they are compared with
dose       trends over the share of code that was measured, or that is behind wrong labels
best       the best share and its confidence set
curve      a smooth curve over shares, and what it misses
agreement  do the backbones agree, and does scale matter?
controls   two draws of the same arm against each other
model      the mixed logistic model beside all this
adjust     several tests: Holm, Benjamini-Hochberg
notes      what limits each effect, in fixed words
effects    all of these -> the effects table

From effects to words:
sentences  one effect -> the one sentence it allows
words      effects -> five plain lines

Before a study, and after it:
simulate   a design and its noise -> studies with the truth known
moments    scores of an earlier study -> its noise
chances    a design -> the difference it would show, by simulation
designs    a wanted difference -> the cheapest design that shows it
power      the same by formula
student    Student's t where tables end
worth      accuracies so far -> what one more cell would be worth
recommend  scores -> the share that looks best, and the next cell
shortcut   scores of interpolated adapters -> how well they told the trained ones
"""
