//! A client of the bank: `cargo run -p unavez --example unavez-bank-client --
//! unavez://127.0.0.1:7373/bank deposit anna 1000`.

use std::env;
use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use unavez::{Conclusion, RawMsg, Site, TypedClient};

/// The same as the server's: its variants are told apart by their order.
#[derive(Debug, Serialize, Deserialize)]
enum Order {
    Deposit { account: String, cents: i64 },
    Withdraw { account: String, cents: i64 },
    Balance { account: String },
}

const USAGE: &str = "usage: unavez-bank-client URL deposit|withdraw|balance ACCOUNT [CENTS]";

fn main() -> ExitCode {
    let Err(error) = run() else { return ExitCode::SUCCESS };
    eprintln!("{error}");
    ExitCode::FAILURE
}

fn run() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [url, what, account, cents @ ..] = &arguments[..] else { return Err(USAGE.into()) };
    let (account, cents) = (account.clone(), cents.first().map_or(Ok(0), |it| it.parse())?);
    let order = match &what[..] {
        "deposit" => Order::Deposit { account, cents },
        "withdraw" => Order::Withdraw { account, cents },
        "balance" => Order::Balance { account },
        _ => return Err(USAGE.into()),
    };
    let site = Site::embedded()?;
    let bank: TypedClient<Order, Result<i64, String>> = TypedClient::open(&site, url)?;
    // When the time is over, it would know whether the order was carried out.
    let patient = |message: RawMsg| message.timeout(Duration::from_secs(10)).certain();
    match bank.call_with(&order, patient) {
        Ok(Ok(balance)) => println!("balance: {balance}"),
        Ok(Err(refusal)) => println!("refused: {refusal}"),
        Err(error) => match error.conclude() {
            Conclusion::NotExecuted => println!("{error}; try again"),
            Conclusion::Executed => println!("{error}; the order was carried out"),
            Conclusion::Unknown => println!("{error}; ask for the balance"),
        },
    }
    Ok(())
}
