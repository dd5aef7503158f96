"""{{description}}."""

from relay_sdk import Request, accept, crypto, reject


def authenticate(request: Request):
    given = request.header("x-token")
    if given is None:
        return reject("there is no x-token")
    # The relay compares, in constant time: the secret stays with it.
    if crypto.equals("token", given):
        return accept()
    return reject("x-token is not the right one")
