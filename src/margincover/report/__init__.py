"""Results to sentences, terminal tables, JSON and one self-contained HTML page.

Takes the types of ``model.results`` and gives text, dictionaries or renderables; reads no clock and opens no file
of the user. Rounding happens here and nowhere else: requirements up, collateral down. ``format`` writes numbers,
``headline`` the answer in words, ``terminal`` and ``fitted`` tables that fit the screen, ``json`` data, ``charts``
Plotly figures as plain dictionaries, ``page`` the content of the report and ``html`` the report itself.
Must not import ``io``, ``app`` or ``cli``, nor compute a risk figure of its own.
"""
