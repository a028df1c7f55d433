//! The core under proof: rule by rule, by exploration, by storms, and with each rule broken on purpose.

mod broken;
mod explored;
mod hostile;
mod pair;
mod rules_aborts;
mod rules_client;
mod rules_epochs;
mod rules_large;
mod rules_order;
mod rules_routes;
mod rules_server;
mod rules_strangers;
mod storms;
