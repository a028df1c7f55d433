//! What the book refuses, and what it makes of a good book.

mod claims;
mod faults;
mod pages;
mod price;
mod product;
mod tiny;
