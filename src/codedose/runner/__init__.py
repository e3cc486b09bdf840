"""Steps, their store, and who performs them when. Knows no science.

step       one unit of work, and the key that names it
perform    one step, done: inputs, work, record
schedule   what must run, in which order, within which slots
children   the local engine: child processes

store      finished steps, wherever they lie; disk: by one rename; remote: behind an fsspec URL; place: which of the two
record     what is said of a finished step; lease: who is at work; objects, scratch: what a remote store is asked
"""
