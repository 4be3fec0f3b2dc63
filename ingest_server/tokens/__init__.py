"""Who may ask: tokens by name, what each name may do, and at which rate. A token itself is kept nowhere, only its SHA-256."""
