"""Prices, exchange with the grid above, and costs."""

from __future__ import annotations

from gridferry.sim.results.costs import operating_cost
from gridferry.sim.results.report.markup import cell, row, table, text
from gridferry.sim.results.report.source import Source, limits, panel


def exchange(source: Source) -> str:
    """Return the pictures of import, planned and real, and of prices."""
    currency = source.run.summary["currency"]
    prices = source.series(
        source.frame(
            "SELECT step, 'buying' AS name, buy_price AS value FROM step "
            "UNION ALL SELECT step, 'selling', sell_price FROM step ORDER BY name, step"
        )
    )
    shown = [
        {"name": name, "colour": k + 4, "style": ("", "dash")[k], **own} for k, (name, own) in enumerate(prices.items())
    ]
    rows = source.run.table("network")
    info = source.run.table("network_info") if "network_info" in source.tables else None
    panels = []
    for number, network in enumerate(dict.fromkeys(rows["network"])):
        own = rows[rows["network"] == network]
        series = [
            {
                "name": f"{network}, {what}",
                "colour": number % 4,
                "style": style,
                **source.series(own, "network", column)[network],
            }
            for column, what, style in (("import_plan_mw", "planned", "under"), ("import_mw", "AC", ""))
        ]
        at = []
        if info is not None:
            bound = info[info["network"] == network]
            at = limits(*bound["import_max_mw"], *(-bound["export_max_mw"]))
        panels.append(panel("MW", series, f"import of {network}", at))
    panels.append(panel(f"{currency}/MWh", shown, "price"))
    return source.picture("import", "Import from the grid above, and prices", {"type": "lines", "panels": panels})


def costs(source: Source) -> str:
    """Return cost by term, realised and as planned for each step, and over time; beside the base case."""
    summary, currency = source.run.summary, source.run.summary["currency"]
    shown = ""
    if "cost" in source.tables:
        terms = source.results.execute(
            "SELECT term, sum(cost) FILTER (isfinite(cost)), sum(plan_cost) FILTER (isfinite(plan_cost)) "
            "FROM cost GROUP BY term ORDER BY min(rowid)"
        ).fetchall()
        most = max((abs(one) for _, one, _ in terms if one), default=1.0) or 1.0
        rows = [
            f"<tr><td>{text(term)}</td>{cell(_money(real))}{cell(_money(planned))}{_bar((real or 0.0) / most)}</tr>"
            for term, real, planned in terms
        ]
        heads = ("term", f"{currency}, AC", f"{currency}, as planned", "")
        shown = table("costs", heads, rows)
        over_time = source.series(
            source.frame(
                "SELECT step, term AS name, sum(CASE WHEN isfinite(cost) THEN cost END) OVER "
                "(PARTITION BY term ORDER BY step) AS value FROM cost ORDER BY step, rowid"
            )
        )
        series = [
            {"name": name, "colour": k % 8, "style": ("", "dash", "mixed", "dot")[k % 4], **own}
            for k, (name, own) in enumerate(over_time.items())
            if any(own["values"])
        ]
        panels = [panel(currency, series, "cost since the start")]
        shown += source.picture("cost", "Costs since the start, by term", {"type": "lines", "panels": panels})
    return shown + (_base_case(source) if "base_case" in summary else "")


def _bar(share: float) -> str:
    """Cell with a bar for a share of the largest cost, of another colour for what is earned."""
    kind = "less" if share < 0 else "more"
    return f'<td class="share"><i class="{kind}" style="width:{100 * abs(share):.1f}%"></i></td>'


def _money(value: float | None) -> str | None:
    return None if value is None else f"{value:,.2f}"


def _base_case(source: Source) -> str:
    """Return figures of the run beside those of doing nothing."""
    summary, base = source.run.summary, source.run.summary["base_case"]
    here = {
        "operating_cost": operating_cost(summary),
        **summary.get("where_solved", summary)["grid"],
        **summary["grid"],
    }
    labels = {
        "operating_cost": f"operating cost, {summary['currency']}",
        "import_mwh": "import, MWh",
        "losses_mwh": "losses, MWh",
        "v_min_pu": "lowest voltage, pu",
        "v_max_pu": "highest voltage, pu",
        "loading_max_percent": "highest loading, %",
        "violations": "limit violations",
        "diverged_steps": "diverged steps",
    }
    rows = (row(text(label), (here.get(key), base.get(key))) for key, label in labels.items())
    saving = f"<p>Saving: {base['saving']:,.2f} {text(summary['currency'])}.</p>" if "saving" in base else ""
    return "<h3>Base case</h3>" + table("base-case", ("", "this plan", "nothing done"), rows) + saving
