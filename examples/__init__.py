"""Small applications on the library, each with paths and bodies of its own. Start one from the root of the checkout:
`uvicorn examples.fastapi_users_app:app`.
"""
