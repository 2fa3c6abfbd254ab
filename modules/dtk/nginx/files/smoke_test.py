"""Ask for a page: smoke_test.py URL [CA-FILE]; the file says whom TLS may trust."""

import ssl
import sys
import urllib.request

url, *authority = sys.argv[1:]
context = ssl.create_default_context(cafile=authority[0]) if authority else None
with urllib.request.urlopen(url, timeout=30, context=context) as answer:
    print(f"{url} answered {answer.status}: {answer.read(200).decode(errors='replace').splitlines()[0]}")
