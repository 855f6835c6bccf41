//! HTTPS of a node, as the command speaks it.

use std::{fs, path::Path, process::Command};

use rcgen::{CertifiedKey, generate_simple_self_signed};
use replog_tests::harness::{Cluster, Node, Options, SOON, programs, wait_until};
use tempfile::TempDir;

/// Puts a new certificate for this machine into `node.pem`, and its key into `node.key`.
fn write_certificate(folder: &Path) {
    let names = vec!["127.0.0.1".to_owned()];
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(names).expect("a certificate");
    fs::write(folder.join("node.pem"), cert.pem()).expect("a temporary file can be written");
    fs::write(folder.join("node.key"), signing_key.serialize_pem()).expect("a temporary file can be written");
}

/// A master without secondaries that speaks HTTPS.
struct Secured {
    cluster: Cluster,
    folder: TempDir,
}

impl Secured {
    async fn start() -> Secured {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        write_certificate(folder.path());
        let mut cluster = Cluster::idle(Options { secondaries: 0, ..Options::default() }).await;
        let path = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
        let args = ["--tls-cert", &path("node.pem"), "--tls-key", &path("node.key")];
        cluster.master = cluster.node("master", "replog-master", &args);
        cluster.master.process.start();
        let secured = Secured { cluster, folder };
        let trusted = secured.trusted();
        wait_until("the master is ready", SOON, async || secured.probe(&trusted)).await;
        secured
    }

    fn master(&self) -> &Node {
        &self.cluster.master
    }

    /// The certificate that lies there now, as a client keeps it.
    fn trusted(&self) -> String {
        let kept = tempfile::Builder::new().prefix("ca").tempfile_in(self.folder.path());
        let (_, path) = kept.expect("a temporary file can be made").keep().expect("it can be kept");
        fs::copy(self.folder.path().join("node.pem"), &path).expect("a certificate can be copied");
        path.to_string_lossy().into_owned()
    }

    fn url(&self, scheme: &str) -> String {
        format!("{scheme}://{}", self.master().address)
    }

    /// The exit code of the command, and what it printed and said.
    fn replog(&self, url: &str, args: &[&str]) -> (Option<i32>, String, String) {
        let mut command = Command::new(programs::node("replog"));
        let output = command.args(args).env_clear().env("REPLOG_URL", url).output();
        let output = output.expect("the command can be started");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    }

    /// Whether a client that trusts this certificate finds the node ready.
    fn probe(&self, ca: &str) -> bool {
        let url = format!("{}/readyz", self.url("https"));
        self.replog(&url, &["probe", &url, "--ca", ca]).0 == Some(0)
    }
}

#[tokio::test]
async fn the_command_speaks_https_and_says_what_is_missing() {
    let secured = Secured::start().await;
    let (url, ca) = (secured.url("https"), secured.trusted());
    let (code, out, said) = secured.replog(&url, &["append", "one", "two", "--ca", &ca]);
    assert_eq!((code, out.as_str()), (Some(0), "0\tmaster\n1\tmaster\n"), "{said}");
    let (code, out, said) = secured.replog(&url, &["read", "--ca", &ca]);
    assert_eq!((code, out.as_str()), (Some(0), "\"one\"\n\"two\"\n"), "{said}");
    let bench = ["bench", "--ca", &ca, "--clients", "2", "--count", "20", "--warmup-seconds", "0"];
    let (code, out, said) = secured.replog(&url, &bench);
    assert_eq!(code, Some(0), "{out}{said}");

    let (code, _, said) = secured.replog(&url, &["read"]);
    assert!(code == Some(4) && said.contains("name it with --ca"), "{said}");
    let (code, _, said) = secured.replog(&secured.url("http"), &["read"]);
    assert!(code == Some(1) && said.contains("speaks HTTPS"), "{said}");
}

#[tokio::test]
async fn at_a_hangup_a_new_certificate_is_shown_and_a_wrong_one_is_not() {
    let secured = Secured::start().await;
    let old = secured.trusted();
    fs::write(secured.folder.path().join("node.key"), "junk").expect("a temporary file can be written");
    secured.master().process.hang_up();
    let said = async || secured.master().process.log().contains("the new certificate is not used");
    wait_until("the master says that the key is none", SOON, said).await;
    assert!(secured.probe(&old), "the old one is not shown any more");

    write_certificate(secured.folder.path());
    let new = secured.trusted();
    secured.master().process.hang_up();
    wait_until("the new certificate is shown", SOON, async || secured.probe(&new)).await;
    assert!(!secured.probe(&old));
}
