"""The pack contract in files, and the domain packs in folders. Imports nothing but pydantic."""
