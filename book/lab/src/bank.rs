//! The service of all examples and of the bench: a bank account. Running a debit twice is visibly wrong.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

/// What the account holds at first.
pub const OPENING: i64 = 1000;

/// An account that answers `debit N` and `balance` with the balance that is left.
///
/// ```
/// let mut bank = lab::Bank::default();
/// assert_eq!(bank.serve(b"debit 10"), b"balance 990");
/// assert_eq!(bank.serve(b"balance"), b"balance 990");
/// assert_eq!(bank.serve(b"credit 10"), b"error: ask for \"debit N\" or \"balance\"");
/// assert_eq!(bank.debits(), 1);
/// ```
#[derive(Debug)]
pub struct Bank {
    balance: i64,
    debits: u64,
    ledger: Option<File>,
}

impl Default for Bank {
    fn default() -> Self {
        Bank { balance: OPENING, debits: 0, ledger: None }
    }
}

impl Bank {
    /// An account whose debits stand in this file, so that they outlive the process.
    ///
    /// # Errors
    /// The file's.
    pub fn open(ledger: &Path) -> io::Result<Bank> {
        let mut bank = Bank::default();
        let file = File::options().create(true).append(true).open(ledger)?;
        for line in fs::read_to_string(ledger)?.lines() {
            let amount = line.parse().map_err(|_| io::Error::other("the ledger is damaged"))?;
            bank.debit(amount);
        }
        bank.ledger = Some(file);
        Ok(bank)
    }

    /// Runs one request.
    pub fn serve(&mut self, request: &[u8]) -> Vec<u8> {
        let words: Vec<&[u8]> = request.split(|byte| *byte == b' ').collect();
        match words[..] {
            [b"balance"] => {}
            [b"debit", amount] => match std::str::from_utf8(amount).map(str::parse) {
                Ok(Ok(amount)) => {
                    if let Err(error) = self.write(amount) {
                        return format!("error: the ledger: {error}").into_bytes();
                    }
                    self.debit(amount);
                }
                _ => return b"error: the amount is a whole number".to_vec(),
            },
            _ => return b"error: ask for \"debit N\" or \"balance\"".to_vec(),
        }
        format!("balance {}", self.balance).into_bytes()
    }

    fn debit(&mut self, amount: u32) {
        self.balance = self.balance.saturating_sub(i64::from(amount));
        self.debits += 1;
    }

    fn write(&mut self, amount: u32) -> io::Result<()> {
        self.ledger
            .as_mut()
            .map_or(Ok(()), |ledger| ledger.write_all(format!("{amount}\n").as_bytes()))
    }

    /// What is left.
    pub fn balance(&self) -> i64 {
        self.balance
    }

    /// How many debits ran.
    pub fn debits(&self) -> u64 {
        self.debits
    }
}
