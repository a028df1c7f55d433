//! A bank account as a service: running a debit twice is visibly wrong.
//!
//! Invariant: what was answered stands in the ledger, one line for each time that a debit ran; so the
//! ledger is the witness of how often that was, and the account outlives its process.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

/// What the account holds at first.
const OPENING: i64 = 1000;

/// The longest request, in bytes: a line of a page or less is written whole or not at all, whenever the
/// process is killed.
const REQUEST_MAX: usize = 4096;

/// An account that answers `debit N` and `balance` with the balance that is left; any words after the
/// amount are written to the ledger and given back.
#[derive(Debug)]
pub(crate) struct Bank {
    balance: i64,
    ledger: Option<File>,
}

impl Bank {
    /// An account as its ledger says, or a new one.
    pub(crate) fn open(ledger: Option<&Path>) -> io::Result<Bank> {
        let mut bank = Bank { balance: OPENING, ledger: None };
        if let Some(path) = ledger {
            // Append: after a crash and a restart nothing is written over.
            let file = File::options().create(true).append(true).open(path)?;
            for (number, line) in fs::read_to_string(path)?.lines().enumerate() {
                let (amount, _) = debit(line).map_err(|_| {
                    io::Error::other(format!("line {} of the ledger is no debit", number + 1))
                })?;
                bank.balance -= amount;
            }
            bank.ledger = Some(file);
        }
        Ok(bank)
    }

    /// Runs one request.
    pub(crate) fn serve(&mut self, request: &[u8]) -> String {
        let request = String::from_utf8_lossy(request);
        let request = request.trim();
        self.run(request).unwrap_or_else(|error| format!("error: {error}"))
    }

    fn run(&mut self, request: &str) -> Result<String, String> {
        if request.len() > REQUEST_MAX {
            return Err(format!("a request has {REQUEST_MAX} bytes at most"));
        }
        if request == "balance" {
            return Ok(format!("balance {}", self.balance));
        }
        let (amount, memo) = debit(request)?;
        let balance = self.balance.checked_sub(amount).ok_or("the amount is too large")?;
        if let Some(file) = &mut self.ledger {
            // One write for the whole line: a process that is killed leaves all of it or nothing.
            let line = format!("{request}\n");
            file.write_all(line.as_bytes()).map_err(|error| format!("the ledger: {error}"))?;
        }
        self.balance = balance;
        Ok(format!("balance {balance} {memo}").trim_end().into())
    }
}

/// Reads `debit N WORDS`.
fn debit(request: &str) -> Result<(i64, &str), String> {
    let rest = request.strip_prefix("debit ").filter(|rest| !rest.contains(char::is_control));
    let rest = rest.ok_or("ask for \"debit N\" or \"balance\"")?;
    let (amount, memo) = rest.split_once(' ').unwrap_or((rest, ""));
    let amount: u32 = amount.parse().map_err(|_| "the amount is a whole number")?;
    Ok((amount.into(), memo))
}

/// The words after the amount of each debit in a ledger, in the order in which they ran.
pub(crate) fn memos(ledger: &Path) -> io::Result<Vec<String>> {
    let text = fs::read_to_string(ledger)?;
    let lines = text.lines().map(|line| debit(line).map(|(_, memo)| memo.to_string()));
    lines.collect::<Result<_, _>>().map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn account_outlives_its_process() {
        // Two debits and a question, the process is gone, another one opens the ledger.
        let dir = tempfile::tempdir().unwrap();
        let ledger = dir.path().join("ledger");
        let mut bank = Bank::open(Some(&ledger)).unwrap();
        assert_eq!(bank.serve(b"debit 10 call 1"), "balance 990 call 1");
        assert_eq!(bank.serve(b"debit 20\n"), "balance 970");
        assert_eq!(bank.serve(b"balance"), "balance 970");
        drop(bank);
        let mut bank = Bank::open(Some(&ledger)).unwrap();
        assert_eq!(bank.serve(b"balance"), "balance 970");
        assert_eq!(memos(&ledger).unwrap(), ["call 1", ""]);
    }

    #[test]
    fn what_is_no_debit_changes_nothing() {
        // Each request is answered with an error; neither the balance nor the ledger changes.
        let dir = tempfile::tempdir().unwrap();
        let ledger = dir.path().join("ledger");
        let mut bank = Bank::open(Some(&ledger)).unwrap();
        let requests: [&[u8]; 6] =
            [b"", b"credit 5", b"debit", b"debit -5", b"debit 5\ndebit 5", b"debit \xff"];
        for request in requests {
            assert!(bank.serve(request).starts_with("error: "), "{request:?}");
        }
        assert_eq!(bank.serve(b"balance"), "balance 1000");
        assert_eq!(fs::read_to_string(&ledger).unwrap(), "");
    }

    #[test]
    fn lines_of_the_ledger_are_short() {
        // The longest memo, and one byte more.
        let dir = tempfile::tempdir().unwrap();
        let ledger = dir.path().join("ledger");
        let mut bank = Bank::open(Some(&ledger)).unwrap();
        let longest = format!("debit 1 {}", "x".repeat(REQUEST_MAX - 8));
        assert!(bank.serve(longest.as_bytes()).starts_with("balance 999 x"));
        let error = bank.serve((longest.clone() + "x").as_bytes());
        assert_eq!(error, "error: a request has 4096 bytes at most");
        assert_eq!(fs::read_to_string(&ledger).unwrap(), longest + "\n");
    }

    #[test]
    fn damaged_ledger_is_not_opened() {
        // A line that this bank did not write.
        let dir = tempfile::tempdir().unwrap();
        let ledger = dir.path().join("ledger");
        fs::write(&ledger, "debit 10\nten\n").unwrap();
        assert!(Bank::open(Some(&ledger)).unwrap_err().to_string().contains("line 2"));
    }
}
