"""The page of a run: it says what the run says, and needs nothing but itself."""

from html.parser import HTMLParser
from pathlib import Path

import duckdb
import pandas as pd
import pytest

from gridferry.networks.faults import InputError
from gridferry.sim.loop.runner import run
from gridferry.sim.results.export import export_run
from gridferry.sim.results.report import write_report


class Reader(HTMLParser):
    """Collects the cells of tables, the headings, and everything that a browser would load."""

    def __init__(self):
        super().__init__()
        self.tables, self.headings, self.loaded, self._within, self._table = {}, [], [], None, []

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.loaded += [value for key, value in attrs if key in ("src", "href", "srcset", "data", "action")]
        self.loaded += [tag] if tag in ("link", "iframe", "img", "object", "base") else []
        if tag == "table":
            self._table = self.tables.setdefault(given["id"], [])
        elif tag == "tr":
            self._table.append([])
        elif tag in ("td", "th"):
            self._table[-1].append("")
        self._within = tag

    def handle_endtag(self, tag):
        self._within = None
        if tag == "table":
            self._table = []

    def handle_data(self, data):
        if self._within in ("td", "th", "a") and self._table:
            self._table[-1][-1] += data
        elif self._within in ("h2", "h3"):
            self.headings.append(data)


def read(page: Path) -> Reader:
    reader = Reader()
    reader.feed(page.read_text(encoding="utf-8"))
    return reader


@pytest.fixture(scope="module")
def violating(tmp_path_factory):
    """A run on two networks that breaks a voltage limit."""
    folder = tmp_path_factory.mktemp("report") / "run"
    return run("two_feeders", steps=8, overrides=["networks.dn1.v_min_pu=0.97"], out=folder)


def test_page_has_the_figures_and_violations_and_loads_nothing(violating):
    page = write_report(violating.directory)
    assert page == violating.directory / "report.html"
    reader = read(page)
    figures = {row[1]: row[2] for row in reader.tables["figures"]}
    grid = violating.summary["grid"]
    assert figures["losses, MWh"] == f"{grid['losses_mwh']:,.5f}"
    assert figures["profit, EUR"] == f"{violating.summary['cost']['profit']:,.2f}"
    assert figures["limit violations"] == str(grid["violations"])
    head, *rows = reader.tables["violations"]
    assert head == ["where", "what", "worst", "limit", "by", "at", "steps", "from", "to"]
    found = violating.violations()
    assert len(rows) == len({(one.kind, one.network, one.element) for one in found}) > 0
    assert sum(int(row[6]) for row in rows) == grid["violations"] == len(found)
    assert rows[0][:3] == [f"{found[0].network} {found[0].element}", "voltage", f"{found[0].value:.5g} pu"]
    # the clock of the config shows 00:00 in step 0
    begin = pd.Timestamp(violating.table("step")["time"][0][:16])
    assert rows[0][5] == f"{begin + pd.Timedelta(hours=found[0].step):%a %d %b %Y, %H:%M}"
    assert {one for one in reader.loaded if not one.startswith("#")} == set()
    pictures = {"The networks over time", "Voltages and loadings", "Positions", "Import and prices", "Plan against AC"}
    assert pictures < set(reader.headings)


def test_page_has_a_section_for_every_kind_with_the_totals_of_its_devices(violating):
    reader = read(write_report(violating.directory))
    kinds = ["trucks", "batteries", "links", "generators"]
    assert [one for one in reader.headings if one in kinds] == kinds
    assert list(violating.summary["kinds"]) == kinds
    for table in kinds:
        rows = violating.table(table)
        head, *devices = reader.tables[f"kind-{table}"]
        assert [row[0] for row in devices] == list(dict.fromkeys(rows["device"]))
        injected = rows.groupby("device")["injected_mwh"].sum()
        shown = {row[0]: row[head.index("injected_mwh")] for row in devices}
        assert shown == {device: f"{value:.6g}" for device, value in injected.items()}
    head, truck = reader.tables["kind-trucks"]
    assert truck[head.index("wear, EUR")] == f"{violating.table('trucks')['wear'].sum():.6g}"
    assert truck[head.index("departed")] == str(violating.summary["fleet"]["trips"])


def test_page_of_a_run_recorded_before_kinds_had_tables_says_so(tmp_path):
    old = run("two_feeders", steps=2, out=tmp_path / "run")
    with duckdb.connect(str(old.directory / "results.duckdb")) as connection:
        for table in ("kind_info", "column_info", "cost", "position", *old.summary["kinds"]):
            connection.execute(f"DROP TABLE {table}")
    page = write_report(old.directory)
    assert "recorded by an earlier version, without them" in page.read_text(encoding="utf-8")
    assert set(old.summary["kinds"]).isdisjoint(read(page).headings)
    assert {path.stem for path in export_run(old.directory, "csv")} == set(old.tables())
    with pytest.raises(InputError, match=r"recorded by another version, or is damaged \(no table kind_info\)"):
        run("two_feeders", steps=4, out=old.directory, resume=True)


def test_page_of_a_run_without_devices_leaves_their_pictures_out(tmp_path):
    (tmp_path / "case.toml").write_text(
        'name = "bare"\n[time]\nstart = 2024-05-01T00:00:00\nstep_s = 3600\nsteps = 2\n'
        '[[networks]]\nname = "dn1"\nfeeder = "ieee33"\n[[loads]]\nnetwork = "dn1"\nfactor = 9.0\n'
    )
    done = run(tmp_path / "case.toml", out=tmp_path / "run")
    assert done.summary["grid"]["diverged_steps"] == 2
    page = write_report(tmp_path / "run")
    assert {"Positions", "generators"}.isdisjoint(read(page).headings)
    assert "2 steps have no power-flow solution" in page.read_text(encoding="utf-8")


def test_report_command_writes_the_page_and_opens_it(gridferry, violating, monkeypatch):
    opened = []
    monkeypatch.setattr("webbrowser.open", lambda url: opened.append(url) or True)
    code, out, _ = gridferry("report", violating.directory, "--open")
    assert code == 0
    assert out == f"wrote {violating.directory / 'report.html'}\n"
    assert opened == [(violating.directory / "report.html").as_uri()]
    code, _, err = gridferry("report", "nowhere")
    assert code == 2
    assert "no such file" in err
