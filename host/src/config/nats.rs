//! How NATS is reached, as flags.

use std::path::PathBuf;

use clap::Args;

use super::Problems;
use crate::bus::NatsOptions;

/// Where the NATS servers are, and how this node logs in there. Secrets come from files.
#[derive(Args, Clone, Debug)]
pub struct NatsArgs {
    /// NATS servers of one cluster, comma-separated
    // A URL with a login in it is refused; until then, help must not show it.
    #[arg(
        long,
        env = "NATS_URL",
        hide_env_values = true,
        value_name = "URL[,URL]",
        default_value = "nats://127.0.0.1:4222"
    )]
    nats_url: String,
    /// A .creds file for NATS
    #[arg(long, env = "NATS_CREDS", value_name = "FILE")]
    nats_creds: Option<PathBuf>,
    /// A file with the seed of an nkey for NATS
    #[arg(long, env = "NATS_NKEY", value_name = "FILE")]
    nats_nkey: Option<PathBuf>,
    /// A NATS user; needs --nats-password-file
    #[arg(long, env = "NATS_USER", value_name = "USER")]
    nats_user: Option<String>,
    /// A file with the password of --nats-user
    #[arg(long, env = "NATS_PASSWORD_FILE", value_name = "FILE")]
    nats_password_file: Option<PathBuf>,
    /// PEM certificates to trust instead of the system's; requires TLS
    #[arg(long, env = "NATS_CA", value_name = "FILE")]
    nats_ca: Option<PathBuf>,
    /// This client's PEM certificate; needs --nats-key
    #[arg(long, env = "NATS_CERT", value_name = "FILE")]
    nats_cert: Option<PathBuf>,
    /// The PEM key of --nats-cert
    #[arg(long, env = "NATS_KEY", value_name = "FILE")]
    nats_key: Option<PathBuf>,
}

impl NatsArgs {
    /// The options, under this client name. What is wrong with them is noted beside its flag.
    pub(super) fn check(&self, client_name: String, problems: &mut Problems) -> NatsOptions {
        self.check_logins(problems);
        for (flag, part) in self.parts() {
            part.problems().iter().for_each(|problem| problems.add(flag, problem));
        }
        self.check_certificate(problems);
        NatsOptions {
            urls: self.urls(),
            name: client_name,
            credentials_file: self.nats_creds.clone(),
            nkey_file: self.nats_nkey.clone(),
            user: self.nats_user.clone(),
            password_file: self.nats_password_file.clone(),
            tls_ca_file: self.nats_ca.clone(),
            tls_cert_file: self.nats_cert.clone(),
            tls_key_file: self.nats_key.clone(),
        }
    }

    fn urls(&self) -> Vec<String> {
        self.nats_url.split(',').map(|url| url.trim().to_owned()).collect()
    }

    fn check_logins(&self, problems: &mut Problems) {
        let logins = [
            ("nats-creds", self.nats_creds.is_some()),
            ("nats-nkey", self.nats_nkey.is_some()),
            ("nats-user", self.nats_user.is_some()),
        ];
        let mut given = logins.into_iter().filter(|(_, given)| *given).map(|(flag, _)| flag);
        if let (Some(first), Some(second)) = (given.next(), given.next()) {
            problems.add(second, format!("give one login only; there is --{first} already"));
        }
        let pairs = [
            ("nats-user", self.nats_user.is_some(), "nats-password-file", self.nats_password_file.is_some()),
            ("nats-cert", self.nats_cert.is_some(), "nats-key", self.nats_key.is_some()),
        ];
        for (one, has_one, other, has_other) in pairs {
            if has_one != has_other {
                let (given, missing) = if has_one { (one, other) } else { (other, one) };
                problems.add(given, format!("needs --{missing}"));
            }
        }
    }

    /// Options with one flag each: what is wrong with them is wrong with that flag.
    fn parts(&self) -> Vec<(&'static str, NatsOptions)> {
        let some_server = || NatsOptions::new(["nats://localhost"], "");
        let mut parts = vec![("nats-url", NatsOptions { urls: self.urls(), ..NatsOptions::default() })];
        if self.nats_creds.is_some() {
            let credentials_file = self.nats_creds.clone();
            parts.push(("nats-creds", NatsOptions { credentials_file, ..some_server() }));
        }
        if self.nats_nkey.is_some() {
            parts.push(("nats-nkey", NatsOptions { nkey_file: self.nats_nkey.clone(), ..some_server() }));
        }
        if self.nats_user.is_some() && self.nats_password_file.is_some() {
            let (user, password_file) = (self.nats_user.clone(), self.nats_password_file.clone());
            parts.push(("nats-password-file", NatsOptions { user, password_file, ..some_server() }));
        }
        if self.nats_ca.is_some() {
            parts.push(("nats-ca", NatsOptions { tls_ca_file: self.nats_ca.clone(), ..some_server() }));
        }
        parts
    }

    /// A certificate and its key are only looked at together; a problem names the file.
    fn check_certificate(&self, problems: &mut Problems) {
        let (Some(cert), Some(key)) = (&self.nats_cert, &self.nats_key) else { return };
        let options = NatsOptions {
            tls_cert_file: Some(cert.clone()),
            tls_key_file: Some(key.clone()),
            ..NatsOptions::new(["nats://localhost"], "")
        };
        for problem in options.problems() {
            let of_key = problem.contains("private key") || !problem.contains(&*cert.to_string_lossy());
            problems.add(if of_key { "nats-key" } else { "nats-cert" }, problem);
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Program {
        #[command(flatten)]
        nats: NatsArgs,
    }

    /// The flags that the problems with this command line name, in their order.
    fn blamed(flags: &[&str]) -> Vec<String> {
        let mut problems = Problems::default();
        Program::parse_from(["program"].iter().chain(flags)).nats.check("n".to_owned(), &mut problems);
        let found = problems.into_error().map_or_else(Vec::new, |error| error.0);
        found.iter().map(|problem| problem.split(':').next().unwrap().to_owned()).collect()
    }

    #[test]
    fn each_problem_names_its_flag() {
        assert_eq!(blamed(&[]), Vec::<String>::new());
        assert_eq!(blamed(&["--nats-url", "nats://a,http://b,"]), ["--nats-url", "--nats-url"]);
        for flag in ["--nats-creds", "--nats-nkey", "--nats-ca"] {
            assert_eq!(blamed(&[flag, "/nonexistent"]), [flag]);
        }
        assert_eq!(blamed(&["--nats-user", "me"]), ["--nats-user"]);
        assert_eq!(blamed(&["--nats-password-file", "/nonexistent"]), ["--nats-password-file"]);
        assert_eq!(
            blamed(&["--nats-user", "me", "--nats-password-file", "/nonexistent"]),
            ["--nats-password-file"]
        );
        assert_eq!(blamed(&["--nats-cert", "/c"]), ["--nats-cert"]);
        assert_eq!(blamed(&["--nats-cert", "/c", "--nats-key", "/k"]), ["--nats-cert", "--nats-key"]);
    }

    #[test]
    fn there_is_one_login() {
        let both = blamed(&["--nats-creds", "/c", "--nats-nkey", "/n"]);
        assert_eq!(both, ["--nats-nkey", "--nats-creds", "--nats-nkey"]);
    }
}
