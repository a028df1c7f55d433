//! A server and a client in one process: `cargo run -p unavez --example unavez-hello`.

use std::thread;

use unavez::{IpcClient, IpcServer, Site};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let site = Site::embedded()?;
    let server = IpcServer::new(&site)?;
    let client = IpcClient::new(&site, server.port());
    thread::spawn(move || {
        let (request, id) = server.receive_request()?;
        server.send_reply(format!("you said {:?}", request.body()), id)
    });
    println!("{:?}", client.call("hello")?.body());
    Ok(())
}
