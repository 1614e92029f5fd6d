"""Who may do what: an authorizer that answers as the API server's, and what policies ask of it.

Ask `authorizer.authorizer_of(snapshot)` whether an identity can do something, or who can. `rights`, `grants` and
`dangling` hold the questions of policies.
"""
