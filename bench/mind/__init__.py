"""Teaching a bundled language model to answer the telephone: conversations, and what it learns from them."""
