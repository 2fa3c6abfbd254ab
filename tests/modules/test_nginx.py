"""dtk:nginx on real local nodes: a site over HTTP and TLS, with a certificate of the service's own CA.

One test with one deployment: the steps build on each other.
"""

from __future__ import annotations

import time

from tests.modules.changed import changed_by_create
from tests.support.command_line import Dtk

SERVICE = "web1"


def served(dtk: Dtk) -> str:
    """Return the fingerprint of the certificate that nginx presents."""
    where = dtk.addresses(SERVICE)["web"]
    asked = f"openssl s_client -connect {where}:8443 </dev/null 2>/dev/null | openssl x509 -noout -fingerprint"
    return dtk.run("ssh", SERVICE, "web", "--", asked).stdout


def test_a_site_answers_by_tls_before_and_after_its_certificate_is_renewed(dtk: Dtk) -> None:
    dtk.run("stage", "dtk:nginx/site", SERVICE)
    shown = dtk.run("apply", SERVICE, "--yes").stdout
    assert ":8080/ answered 200: " in shown
    assert ":8443/ answered 200: " in shown
    first = served(dtk)
    dtk.run("converge", SERVICE, "--yes")
    assert changed_by_create(dtk, SERVICE, 2) == []

    dtk.run("set-attribute", SERVICE, "authority/certificates::authority/renew_within", "91")
    assert ":8443/ answered 200: " in dtk.run("exec", SERVICE, "renew").stdout
    # The old processes may accept a last connection while they exit.
    until = time.monotonic() + 60
    while served(dtk) == first and time.monotonic() < until:
        time.sleep(0.2)
    assert served(dtk) != first

    dtk.run("delete-component", SERVICE, "web/nginx::server")
    assert "nginx::server.delete" in dtk.run("apply", SERVICE, "--yes").stdout
    assert dtk.run("ssh", SERVICE, "web", "--", "daemon/daemon.sh status nginx", code=None).returncode != 0
