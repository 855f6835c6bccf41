//! libFuzzer over one target, named by the variable `REPLOG_FUZZ_TARGET`: see `cargo xtask fuzz`.
//!
//! One program for all targets: each of its own would be linked with everything once more.
#![no_main]
#![expect(clippy::print_stderr, reason = "whoever gives a wrong name is told so")]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use replog_fuzz::{Target, target};

static TARGET: OnceLock<Target> = OnceLock::new();

fuzz_target!(
    init: {
        let name = std::env::var("REPLOG_FUZZ_TARGET").unwrap_or_default();
        let Some(found) = target(&name) else {
            eprintln!("no target is called {name:?}: set REPLOG_FUZZ_TARGET to the name of one");
            std::process::exit(2);
        };
        TARGET.get_or_init(|| found);
    },
    |input: &[u8]| {
        if let Some(target) = TARGET.get() {
            (target.run)(input);
        }
    }
);
