//! A bank: `cargo run -p unavez --example unavez-bank-server -- 127.0.0.1:7373`, and then
//! `unavez-bank-client` in another terminal.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Mutex;
use std::{env, thread};

use serde::{Deserialize, Serialize};
use unavez::{Options, Site, serve};

#[derive(Debug, Serialize, Deserialize)]
enum Order {
    Deposit { account: String, cents: i64 },
    Withdraw { account: String, cents: i64 },
    Balance { account: String },
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let listen = env::args().nth(1).unwrap_or("127.0.0.1:7373".into()).parse()?;
    // With a state directory the bank is the same site when it comes back.
    let state = env::args().nth(2).map(PathBuf::from);
    let site = Site::with(Options { listen, state, ..Options::default() })?;
    let accounts: Mutex<HashMap<String, i64>> = Mutex::default();
    let _service = serve(&site, "bank", 4, move |order| {
        println!("{order:?}");
        serve_order(&mut accounts.lock().expect("no order breaks off"), order)
    })?;
    println!("unavez://{}/bank", site.address());
    loop {
        thread::park();
    }
}

/// The new balance, or why not.
fn serve_order(accounts: &mut HashMap<String, i64>, order: Order) -> Result<i64, String> {
    let (account, change) = match order {
        Order::Deposit { account, cents } => (account, cents),
        Order::Withdraw { account, cents } => (account, -cents),
        Order::Balance { account } => (account, 0),
    };
    let balance = accounts.entry(account).or_default();
    let new = balance.checked_add(change).filter(|new| *new >= 0);
    *balance = new.ok_or("not enough money")?;
    Ok(*balance)
}
