"""What runs any table of coefficients: the one loop, its noise, its watch over the answers.

``table.py`` holds rows of numbers that check themselves and ``run.py`` the loop that takes them;
the other files are what such a run can have. Nothing here knows a sampler by name.
"""
