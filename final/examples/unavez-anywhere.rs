//! One program, at a site of its own or at the daemon of this host, as `UNAVEZ_ATTACH` says:
//!
//! ```console
//! cargo run -p unavez --example unavez-anywhere -- serve
//! UNAVEZ_ATTACH=1 cargo run -p unavez --example unavez-anywhere -- serve
//! cargo run -p unavez --example unavez-anywhere -- ask unavez://127.0.0.1:7373/upper hello
//! ```

use std::error::Error;
use std::{env, io::Write};

use unavez::{IpcClient, IpcServer, Site, SiteError};

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    run(&words, &mut std::io::stdout())
}

/// What it does: nothing here knows where the site is.
pub(crate) fn run(words: &[&str], out: &mut dyn Write) -> Result<(), Box<dyn Error>> {
    let site = site()?;
    match words {
        ["serve"] => serve(&site, out),
        ["ask", url, text] => ask(&site, url, text, out),
        _ => Err("it wants: serve, or ask URL TEXT".into()),
    }
}

/// The site of this host, if it is said so; else one that only this process has.
fn site() -> Result<Site, Box<dyn Error>> {
    match env::var_os("UNAVEZ_ATTACH") {
        Some(_) => Ok(Site::attach()?),
        None => Ok(Site::embedded()?),
    }
}

/// Answers in capital letters, until the site is stopped.
fn serve(site: &Site, out: &mut dyn Write) -> Result<(), Box<dyn Error>> {
    let server = IpcServer::new(site)?;
    server.register("upper")?;
    writeln!(out, "unavez://{}/upper", site.address())?;
    loop {
        let (request, id) = match server.receive_request() {
            Ok(came) => came,
            Err(SiteError::Stopped | SiteError::Closed) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        // Whom the reply does not reach any more is told so by the site, and the next may come.
        if let Err(error) = server.send_reply(request.body().to_ascii_uppercase(), id) {
            writeln!(out, "not answered: {error}")?;
        }
    }
}

/// Asks once, and says what to conclude if there is no reply.
fn ask(site: &Site, url: &str, text: &str, out: &mut dyn Write) -> Result<(), Box<dyn Error>> {
    match IpcClient::open(site, url)?.call(text.to_owned()) {
        Ok(reply) => writeln!(out, "{}", reply.body().escape_ascii())?,
        Err(error) => writeln!(out, "{error}: {}", error.conclude())?,
    }
    Ok(())
}
