"""Every known way to gain by RBAC, as data: what is granted, what the holder does with it, and what comes close.

Each module holds a group of them in a tuple `PRIMITIVES`; `execute` runs them, and a module that is added is found.
"""
