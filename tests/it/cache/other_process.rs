//! What has to be done by another process: one that can be stopped, or that has an environment of its own.
//!
//! It is this program again, told to run the one test below and, by its environment, what to do in it.

use std::{
    io::{BufRead as _, BufReader},
    process::{Child, Command, Stdio},
    time::Duration,
};

use cryptoprice::{
    cache::{
        fence::{Batch, Fence},
        lease::{Lease, LeaseOptions, Role},
    },
    clock::Clock,
};
use redis::cmd;
use tokio_util::sync::CancellationToken;

use super::{
    fetch,
    server::{keys, pool},
};
use crate::harness::provide_crypto;

/// Tells the other process what to do.
const TASK: &str = "CRYPTOPRICE_TEST_TASK";

/// Starts it.
pub(crate) fn start(task: &str, environment: &[(&str, &str)]) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "cache::other_process::the_other_process", "--nocapture", "--test-threads", "1"])
        .env(TASK, task)
        .envs(environment.iter().copied())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Waits for the next thing that it says.
pub(crate) fn said(lines: &mut impl Iterator<Item = String>) -> Option<String> {
    lines.find_map(|line| Some(line.split_once("SAID ")?.1.to_owned()))
}

/// Reads what it says.
pub(crate) fn listen(process: &mut Child) -> impl Iterator<Item = String> + use<> {
    BufReader::new(process.stdout.take().unwrap()).lines().map_while(Result::ok)
}

/// Starts it, and waits for the one thing that it says.
pub(crate) fn ask(task: &str, environment: &[(&str, &str)]) -> String {
    let mut process = start(task, environment);
    // To the end: who says something that nobody reads fails.
    let lines: Vec<_> = listen(&mut process).collect();
    assert!(process.wait().unwrap().success(), "{lines:?}");
    said(&mut lines.into_iter()).unwrap()
}

#[expect(clippy::print_stdout, reason = "that is how the process that has started this one is told")]
pub(crate) fn say(text: &str) {
    println!("SAID {text}");
}

/// Does what the environment says. Where this runs among other tests it has nothing to do.
#[tokio::test]
async fn the_other_process() {
    let Ok(task) = std::env::var(TASK) else {
        return;
    };
    provide_crypto();
    let pool = pool(&std::env::var("URL").unwrap());
    if task == "ping" {
        return say(&match pool.query::<String>("ping", &cmd("PING")).await {
            Ok(answer) => answer,
            Err(error) => error.to_string(),
        });
    }
    if task == "fetch" {
        let asked = std::env::var("ASKED").unwrap().parse().unwrap();
        return fetch::ask_for_another(pool, &std::env::var("UPSTREAM").unwrap(), asked).await;
    }
    // Leads, and writes its epoch as often as it can, for as long as it lives.
    let options = LeaseOptions {
        holder: task,
        span: Duration::from_millis(1_200),
        renew_every: Duration::from_millis(300),
    };
    let (lease, role) = Lease::new(&pool, keys().ingest(), options, Clock::system());
    tokio::spawn(lease.run(CancellationToken::new()));
    let mut told = 0;
    loop {
        let Role::Leader(tenure) = role.borrow().clone() else {
            tokio::time::sleep(Duration::from_millis(1)).await;
            continue;
        };
        let (ingest, epoch) = (keys().ingest(), tenure.epoch());
        let fence = Fence::new(pool.clone(), &ingest, tenure);
        let mut batch = Batch::new();
        // A key of the same group.
        batch.command("RPUSH", "{simulated:ingest}:history", [epoch.to_string().as_bytes()]);
        match fence.run(&batch).await {
            Ok(()) if told != epoch => {
                told = epoch;
                say(&epoch.to_string());
            }
            Ok(()) => {}
            Err(error) => say(&error.to_string()),
        }
    }
}
