// The call in progress.

import host from "relay:plugin/call";

export function current() {
    const { tenant, source, endpoint, delivery, attempt, budgetMs } = host.current();
    return {
        tenant,
        source: source ?? undefined,
        endpoint: endpoint ?? undefined,
        delivery: delivery ?? undefined,
        attempt: attempt >>> 0,
        budget: (budgetMs >>> 0) / 1000,
    };
}
