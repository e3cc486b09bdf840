"""effects (and the rest) -> one HTML file and tables; tables and figures for a paper; cards for a hub.

The page: build lays it out from page (its words and values), sections/ (templates) and script/ (figures, replies).
frame      the orders and names that every section needs
design treatment accuracy differences certainty ranking by_reading controls records citation: one section each
grids      tables for the eye
figures    what the scripts draw

A paper's: paper (three tables), panels (figures) and footnotes, told by markdown, latex, svg and results (JSON).
A hub's: cards, dataset_card, model_cards. escaped keeps strangers' texts from being obeyed in any of these.
"""
