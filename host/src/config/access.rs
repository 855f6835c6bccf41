//! Who may use HTTP, as flags.

use std::path::PathBuf;

use clap::Args;

use super::Problems;
use crate::{
    auth::{Gate, Tokens},
    edge::ServerTls,
};

/// Who may use HTTP, as an operator says it. Secrets come from files.
#[derive(Args, Clone, Debug)]
pub struct AccessArgs {
    /// HTTP: let in only who has a token of this file, a line each as `replog token new` prints it; read again at SIGHUP
    #[arg(long, env = "REPLOG_TOKENS_FILE", value_name = "FILE")]
    tokens_file: Option<PathBuf>,
    /// HTTP: speak HTTPS with this PEM certificate and its chain; needs --tls-key; read again at SIGHUP
    #[arg(long, env = "REPLOG_TLS_CERT", value_name = "FILE")]
    tls_cert: Option<PathBuf>,
    /// HTTP: the PEM key of --tls-cert; read again at SIGHUP
    #[arg(long, env = "REPLOG_TLS_KEY", value_name = "FILE")]
    tls_key: Option<PathBuf>,
}

impl AccessArgs {
    pub(super) fn gate(&self, problems: &mut Problems) -> Option<Gate> {
        let Some(path) = &self.tokens_file else { return Some(Gate::OPEN) };
        problems.check("tokens-file", Tokens::load(path)).map(Gate::guarded_by)
    }

    /// None is a problem that was noted; none inside means HTTP in the clear.
    pub(super) fn tls(&self, problems: &mut Problems) -> Option<Option<ServerTls>> {
        let (flag, missing) = match (&self.tls_cert, &self.tls_key) {
            (None, None) => return Some(None),
            (Some(cert), Some(key)) => {
                return problems.check("tls-cert", ServerTls::load(cert, key)).map(Some);
            }
            (Some(_), None) => ("tls-cert", "tls-key"),
            (None, Some(_)) => ("tls-key", "tls-cert"),
        };
        problems.add(flag, format!("needs --{missing}"));
        None
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Program {
        #[command(flatten)]
        access: AccessArgs,
    }

    fn check(flags: &[&str]) -> Result<Gate, String> {
        let mut problems = Problems::default();
        let args = Program::parse_from(["program"].iter().chain(flags));
        let gate = args.access.gate(&mut problems);
        args.access.tls(&mut problems);
        problems.finish(gate).map_err(|error| error.to_string())
    }

    #[test]
    fn without_the_flag_everybody_is_let_in() {
        assert!(check(&[]).unwrap().tokens().is_none());
    }

    #[test]
    fn a_wrong_file_refuses_the_start_and_names_the_line() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "# tokens\nci append s3cret\n").unwrap();
        let error = check(&["--tokens-file", &file.path().to_string_lossy()]).unwrap_err();
        assert!(error.contains("--tokens-file") && error.contains("line 2"), "{error}");
        assert!(!error.contains("s3cret"), "{error}");
        assert!(check(&["--tokens-file", "/nonexistent"]).unwrap_err().contains("/nonexistent"));
    }

    #[test]
    fn a_certificate_and_its_key_need_each_other() {
        for (flag, other) in [("--tls-cert", "--tls-key"), ("--tls-key", "--tls-cert")] {
            let error = check(&[flag, "/nonexistent"]).unwrap_err();
            assert!(error.contains(&format!("{flag}: needs {other}")), "{error}");
        }
        let error = check(&["--tls-cert", "/nonexistent", "--tls-key", "/k"]).unwrap_err();
        assert!(error.contains("--tls-cert: /nonexistent cannot be read"), "{error}");
    }
}
