//! A command for WebAssembly that gets credentials from the component with which it is composed.

fn main() -> Result<(), ec2_role_guest::Error> {
    let credentials = ec2_role_guest::credentials()?;
    println!("credentials: {}", credentials.access_key_id());
    Ok(())
}
