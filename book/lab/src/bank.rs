//! The service of all examples and of the bench: a bank account. Running a debit twice is visibly wrong.

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
#[derive(Debug, Clone)]
pub struct Bank {
    balance: i64,
    debits: u64,
}

impl Default for Bank {
    fn default() -> Self {
        Bank { balance: OPENING, debits: 0 }
    }
}

impl Bank {
    /// Runs one request.
    pub fn serve(&mut self, request: &[u8]) -> Vec<u8> {
        let words: Vec<&[u8]> = request.split(|byte| *byte == b' ').collect();
        match words[..] {
            [b"balance"] => {}
            [b"debit", amount] => match std::str::from_utf8(amount).map(str::parse::<u32>) {
                Ok(Ok(amount)) => {
                    self.balance = self.balance.saturating_sub(i64::from(amount));
                    self.debits += 1;
                }
                _ => return b"error: the amount is a whole number".to_vec(),
            },
            _ => return b"error: ask for \"debit N\" or \"balance\"".to_vec(),
        }
        format!("balance {}", self.balance).into_bytes()
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
