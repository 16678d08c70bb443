"""Is an artifact signed, by whom, and are its files the signed ones?

Model signatures as OpenSSF's `model-signing` makes them: a Sigstore bundle that holds, in a DSSE envelope, an in-toto
statement of every file's digest.

`examining` is the way in. Nothing here loads a model, and nothing that a stranger wrote is interpreted before its
signature was found good, but for the bundle's outermost, bounded shape.
"""
