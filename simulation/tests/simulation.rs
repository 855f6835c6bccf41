//! The real cores under tens of thousands of schedules: see `replog_simulation`.

use std::{env, thread};

use replog_simulation::{self as sim, Coverage, Mutant, Options};

/// Schedules where nothing else is said: about a minute on each of two cores.
const SEEDS: u64 = 50_000;

/// Schedules of each kind that is looked at closely.
const FOCUSED_SEEDS: u64 = 4_000;

const THREADS: u64 = 2;

/// Schedules within which every mutant must be found.
const SEEDS_PER_MUTANT: u64 = 4_000;

/// A number from the environment.
fn number(name: &str) -> Option<u64> {
    let text = env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is a number, not {text:?}")))
}

/// Runs a seed; where it fails it is run again with its story.
fn run(seed: u64, focus: Option<sim::Focus>) -> sim::Stats {
    let options = Options { focus, ..Options::default() };
    sim::run(seed, options).unwrap_or_else(|failure| {
        let told = sim::run(seed, Options { story: true, ..options });
        panic!("{}", told.err().unwrap_or(failure));
    })
}

/// Runs every `THREADS`-th seed.
fn run_share(first: u64, seeds: u64) -> (Coverage, u64) {
    let (mut coverage, mut events) = (Coverage::default(), 0);
    for seed in (first..seeds).step_by(THREADS as usize) {
        let stats = run(seed, None);
        coverage.merge(&stats.coverage);
        events += stats.events;
    }
    (coverage, events)
}

#[test]
fn seeds_hold_every_invariant() {
    let seeds = number("REPLOG_SIM_SEEDS").unwrap_or(SEEDS);
    let shares: Vec<_> = (0..THREADS).map(|first| thread::spawn(move || run_share(first, seeds))).collect();
    let (mut coverage, mut events) = (Coverage::default(), 0);
    for share in shares {
        let (part, count) = share.join().expect("a share of the seeds failed; its report stands above");
        coverage.merge(&part);
        events += count;
    }
    println!("{seeds} schedules, {events} events");
    let Coverage { helped_to_lead, helped_by_wiping, .. } = coverage;
    println!(
        "an operator helped somebody to lead {helped_to_lead} times, and wiped {helped_by_wiping} times"
    );
    for path in sim::Path::ALL {
        println!("{path:?}: {}", coverage.count(path));
    }
    // A few schedules need not meet everything.
    if seeds >= 1_000 {
        assert_eq!(coverage.missing(), [], "paths that no schedule took");
    }
}

#[test]
fn focused_schedules_hold_every_invariant() {
    let looks = sim::Focus::ALL
        .map(|focus| thread::spawn(move || (0..FOCUSED_SEEDS).for_each(|seed| drop(run(seed, Some(focus))))));
    for look in looks {
        look.join().expect("a focused schedule failed; its report stands above");
    }
}

#[test]
fn the_simulator_is_deterministic() {
    for seed in 0..100 {
        assert_eq!(run(seed, None), run(seed, None), "seed {seed}");
    }
}

#[test]
fn mutants_are_caught() {
    let mut alive = Vec::new();
    for mutant in Mutant::ALL.iter().copied() {
        let options = Options { mutant: Some(mutant), focus: mutant.focus(), ..Options::default() };
        let caught = (0..SEEDS_PER_MUTANT).find_map(|seed| sim::run(seed, options).err());
        match caught {
            Some(failure) => println!("{mutant:?}: seed {}: {}", failure.seed, failure.what),
            None => alive.push(mutant),
        }
    }
    assert_eq!(alive, [], "mistakes that no schedule found");
}

/// `REPLOG_SIM_SEED=123 cargo nextest run --ignore-default-filter … replay --no-capture` tells one schedule's story.
#[test]
fn replay() {
    let Some(seed) = number("REPLOG_SIM_SEED") else {
        println!("nothing to replay: REPLOG_SIM_SEED is not set");
        return;
    };
    let focus = number("REPLOG_SIM_FOCUS").and_then(|nth| sim::Focus::ALL.get(nth as usize).copied());
    match sim::run(seed, Options { story: true, focus, ..Options::default() }) {
        Ok(stats) => println!("seed {seed} holds every invariant: {stats:?}"),
        Err(failure) => panic!("{failure}"),
    }
}
