//! Why a server could not be connected to, and what an operator looks at first.

/// What the client was told to do, as far as it explains a failure.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Terms {
    /// Other authorities than the system's are trusted.
    pub(super) own_ca: bool,
    /// There is a certificate to show.
    pub(super) own_certificate: bool,
    /// There is a login.
    pub(super) login: bool,
}

/// In two half sentences: what happened, and what to check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cause {
    pub(super) what: &'static str,
    pub(super) check: &'static str,
}

/// Why an attempt failed, by the words of the client library, in lower case. None: its words have to do.
pub(super) fn explain(words: &str, terms: Terms) -> Option<Cause> {
    let words = words.to_lowercase();
    let says = |any: &[&str]| any.iter().any(|part| words.contains(part));
    let cause = |what, check| Some(Cause { what, check });
    if says(&["authorization violation", "authentication"]) {
        return cause("it refuses the login", login_check(terms));
    }
    if says(&["signing nonce"]) {
        return cause("the login's key cannot sign", "the seed in the file of --nats-nkey or --nats-creds");
    }
    if says(&["connection refused"]) {
        return cause("nothing listens there", "that nats-server runs, and host and port of --nats-url");
    }
    if says(&["no route to host", "unreachable"]) {
        return cause("there is no way to this host", "the host of --nats-url, networks and firewalls");
    }
    if says(&["got nothing"]) {
        return cause(
            "it takes the connection and closes it without a word",
            "whether nats-server listens there, or a proxy without a server to pass it on to",
        );
    }
    if says(&["timed out"]) {
        return cause(
            "it does not answer in time",
            "firewalls, whether it is nats-server that listens there, and that its TLS is not `handshake_first`",
        );
    }
    if says(&["maximum connections"]) {
        return cause("it takes no more connections", "max_connections of nats-server");
    }
    if says(&["control line"]) {
        return cause("its limit for one line is too small", "max_control_line of nats-server");
    }
    if says(&["expected info", "invalid server operation", "unable to parse"]) {
        return cause("what answers there is not nats-server", "host and port of --nats-url");
    }
    if says(&["dns error", "resolve"]) {
        return cause("its name is not resolved", "the host of --nats-url, and this host's resolver");
    }
    tls_cause(&words, terms).or_else(|| {
        let closed = says(&["reset by peer", "broken pipe", "unexpected end of file", "eof"]);
        let check = "the log of nats-server, and what stands between it and this node";
        closed.then_some(Cause { what: "the connection was closed during the handshake", check })
    })
}

const fn login_check(terms: Terms) -> &'static str {
    if terms.login {
        "that nats-server knows this user, nkey or JWT, and the file of --nats-creds, --nats-nkey or --nats-password-file"
    } else {
        "its users: this node has no login; give --nats-creds, --nats-nkey or --nats-user"
    }
}

fn tls_cause(words: &str, terms: Terms) -> Option<Cause> {
    let says = |any: &[&str]| any.iter().any(|part| words.contains(part));
    let cause = |what, check| Some(Cause { what, check });
    if says(&["unknownissuer", "unknown issuer", "badsignature", "caused as end entity", "causedasendentity"])
    {
        let check = if terms.own_ca {
            "that the file of --nats-ca holds the authority that signed the certificate of nats-server"
        } else {
            "that this system trusts that authority; else give its certificate by --nats-ca"
        };
        return cause(
            "it speaks TLS, and its certificate is of an authority that this node does not trust",
            check,
        );
    }
    if says(&["not valid for name", "notvalidforname"]) {
        return cause(
            "its certificate is for another name",
            "that --nats-url has a host name that the certificate has, too",
        );
    }
    if says(&["expired", "not valid yet", "notvalidyet"]) {
        return cause("its certificate is not valid at this time", "the certificate, and this host's clock");
    }
    if says(&[
        "certificaterequired",
        "certificate required",
        "certificateunknown",
        "badcertificate",
        "bad certificate",
    ]) || says(&["unknownca", "decrypterror", "accessdenied"])
    {
        let check = if terms.own_certificate {
            "that the authority of --nats-cert is one that nats-server trusts"
        } else {
            "--nats-cert and --nats-key, which are not given"
        };
        return cause("it wants another certificate of this node", check);
    }
    if says(&["invalidcontenttype", "corrupt message"]) {
        return cause(
            "this node wants TLS and the server speaks unencrypted",
            "the `tls` block of nats-server; or leave out tls://, --nats-ca and --nats-cert",
        );
    }
    let tls = says(&["tls", "certificate", "handshake", "alert"]);
    let check = "the certificates of both sides, and the log of nats-server";
    tls.then_some(Cause { what: "the TLS handshake failed", check })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_failure_has_a_cause_of_its_own() {
        let terms = Terms::default();
        let all = [
            "IO error: Connection refused (os error 111)",
            "timed out",
            "DNS error",
            "authorization violation: authorization violation",
            "IO error: expected INFO, got nothing",
            "IO error: invalid server operation: 'SSH-2.0-OpenSSH'",
            "IO error: maximum connections exceeded",
            "IO error: maximum control line exceeded",
            "IO error: invalid peer certificate: UnknownIssuer",
            "IO error: invalid peer certificate: certificate not valid for name \"a\"",
            "IO error: invalid peer certificate: certificate expired: verification time",
            "IO error: received fatal alert: CertificateRequired",
            "IO error: received corrupt message of type InvalidContentType",
            "IO error: Connection reset by peer (os error 104)",
            "IO error: Network is unreachable (os error 101)",
        ];
        let mut causes: Vec<&str> =
            all.iter().map(|words| explain(words, terms).unwrap_or_else(|| panic!("{words}")).what).collect();
        causes.sort_unstable();
        causes.dedup();
        assert_eq!(causes.len(), all.len(), "{causes:#?}");
    }

    #[test]
    fn what_to_check_depends_on_what_is_given() {
        let check = |words, terms| explain(words, terms).map(|cause| cause.check);
        let bare = Terms::default();
        let full = Terms { own_ca: true, own_certificate: true, login: true };
        for words in ["authorization violation", "UnknownIssuer", "received fatal alert: CertificateRequired"]
        {
            assert_ne!(check(words, bare), check(words, full), "{words}");
        }
        assert_eq!(explain("something new", bare), None);
    }
}
