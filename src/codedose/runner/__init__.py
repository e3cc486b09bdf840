"""Steps, their store, and who performs them when. Knows no science.

step       one unit of work, and the key that names it; perform: that step, done
schedule   what must run, in which order, within which slots; agenda: what may start; tries, failures: what again

children   the local engine: child processes; ray, slurm: the same steps elsewhere; errand, cluster: what they share
secrets    what a step may see of the environment, and what is taken out of text; guard: whether Ray has a lock

store      finished steps, wherever they lie; disk, trees: by one rename; remote: behind a URL; place: which of the two
record     what is said of a finished step; lease: who is at work; objects, scratch: what a remote store is asked
"""
