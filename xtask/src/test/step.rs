//! The steps of the test command, in the order in which they run: what fails soonest comes first.

use anyhow::Result;
use clap::ValueEnum;

use crate::{
    docker, images,
    process::Program,
    programs::{self, Profile},
    test::{environment, nextest, nextest::Suite, policy, rules, summary::Report},
    tools,
};

/// One step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Step {
    /// nats-server, promtool, cargo-nextest, cargo-deny and strace are there
    Tools,
    /// the sources are formatted
    Fmt,
    /// docker-compose.yml is understood by this machine's compose tools
    Compose,
    /// the rules for Prometheus are sound, and alerts come when their tests say
    Rules,
    /// clippy has nothing to say
    Clippy,
    /// licences, banned crates and sources of the dependency tree; advisories where they can be had
    Deny,
    /// everything that needs neither processes nor containers of its own
    Unit,
    /// the examples in the documentation
    Doctest,
    /// the documentation builds without warnings
    Doc,
    /// the real cores under tens of thousands of random schedules
    Simulation,
    /// the static programs that processes and images run
    Programs,
    /// real programs on a real nats-server
    Process,
    /// the container images
    Images,
    /// real nodes in containers
    Containers,
}

impl Step {
    /// What `--only` calls it.
    pub(super) fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
    }

    /// The steps without which this one cannot run.
    fn needs(self) -> &'static [Self] {
        match self {
            Self::Unit | Self::Simulation | Self::Deny | Self::Rules => &[Self::Tools],
            Self::Process => &[Self::Tools, Self::Programs],
            Self::Images => &[Self::Tools, Self::Programs],
            Self::Containers => &[Self::Tools, Self::Programs, Self::Images],
            _ => &[],
        }
    }

    /// Runs it.
    ///
    /// # Errors
    /// It did not pass.
    pub(super) fn run(self) -> Result<Report> {
        match self {
            Self::Tools => tools::run(&tools::Args {})?,
            Self::Fmt => cargo(["fmt", "--all", "--check"]).run()?,
            Self::Compose => compose()?,
            Self::Rules => return rules::check(),
            Self::Clippy => clippy()?,
            Self::Deny => return policy::check(),
            Self::Unit => return nextest::run(Suite::Unit),
            Self::Doctest => doctest()?,
            Self::Doc => doc()?,
            Self::Simulation => return nextest::run(Suite::Simulation),
            Self::Programs => programs::build(Profile::Testing)?,
            Self::Process => return nextest::run(Suite::Process),
            Self::Images => images::make_for_tests()?,
            Self::Containers => return nextest::run(Suite::Containers),
        }
        Ok(Report::default())
    }
}

/// The steps to run: all, or those asked for and what they need.
pub(super) fn selected(only: &[Step]) -> Vec<Step> {
    let wanted = |step: &Step| only.iter().any(|asked| asked == step || asked.needs().contains(step));
    Step::value_variants().iter().copied().filter(|step| only.is_empty() || wanted(step)).collect()
}

fn cargo<const N: usize>(args: [&str; N]) -> Program {
    Program::new("cargo").args(args)
}

fn clippy() -> Result<()> {
    cargo(["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"]).run()
}

fn doctest() -> Result<()> {
    cargo(["test", "--doc", "--workspace", "--locked"]).envs(&environment::variables()?).run()
}

fn doc() -> Result<()> {
    cargo(["doc", "--workspace", "--no-deps", "--locked"]).env("RUSTDOCFLAGS", "-D warnings").run()
}

fn compose() -> Result<()> {
    docker::compose_tools()?.iter().try_for_each(|tool| {
        let check = ["--profile", "client", "config", "--quiet"];
        Program::new(tool[0]).args(&tool[1..]).args(check).run()
    })
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum as _;

    use super::{Step, selected};

    #[test]
    fn everything_runs_unless_asked_otherwise() {
        assert_eq!(selected(&[]), Step::value_variants());
    }

    #[test]
    fn a_step_brings_what_it_needs_in_the_usual_order() {
        assert_eq!(
            selected(&[Step::Containers, Step::Fmt]),
            [Step::Tools, Step::Fmt, Step::Programs, Step::Images, Step::Containers]
        );
    }

    #[test]
    fn what_a_step_needs_runs_before_it() {
        let position = |step: Step| Step::value_variants().iter().position(|other| *other == step);
        for step in Step::value_variants() {
            for needed in step.needs() {
                assert!(position(*needed) < position(*step), "{step:?} needs {needed:?}");
            }
        }
    }
}
