//! A program in WebAssembly (WASI 0.2) that gets its credentials from the component, with which it is
//! composed, over the line protocol.

use std::io::BufRead as _;

fn main() {
    println!("ready");
    for line in std::io::stdin().lock().lines().map_while(Result::ok) {
        match line.split(' ').next() {
            Some("get") => println!("{}", get()),
            _ => println!("error unsupported {line}"),
        }
    }
}

fn get() -> String {
    match ec2_role_guest::credentials() {
        Ok(found) => format!("credentials {}", found.access_key_id()),
        Err(error) => format!("error {error}").replace('\n', " "),
    }
}
