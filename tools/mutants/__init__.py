"""`make mutants`: does a test notice when a rule of the product is changed a little?

Our own, because neither mutmut nor cosmic-ray changes SQL in Python modules, knows which of the
tests are near, or keeps apart what many programs on shared servers do; both are alive (2026).
"""
