//! {{description}}.

use relay_sdk::prelude::*;

struct {{struct}};

#[plugin]
impl {{struct}} {
    fn authenticate(request: &Request) -> Result<Verdict, Fault> {
        let Some(given) = request.header("x-token") else {
            return Ok(Verdict::reject(401, "there is no x-token"));
        };
        // The relay compares, in constant time: the secret stays with it.
        if crypto::equals("token", &given)? {
            Ok(Verdict::accept())
        } else {
            Ok(Verdict::reject(401, "x-token is not the right one"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fixtures() {
        relay_sdk::testing::fixtures::<{{struct}}>();
    }
}
