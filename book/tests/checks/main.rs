//! What the book refuses, and what it makes of a good book.

mod claims;
mod faults;
mod pages;
mod product;
mod tiny;
