import pytest
from starlette.testclient import TestClient

from backend.api.rate_limits import SWEEP_AT, Budget, network_of
from backend.config import Rate, Settings


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def test_a_window_moves(clock):
    budget = Budget("requests", [Rate(2, 10)], clock=clock)
    assert [budget.spend("ada").left for _ in range(2)] == [1, 0]
    clock.now += 4
    refused = budget.spend("ada")
    assert (refused.refused, refused.left, refused.more_in_s) == (True, 0, 6.0)
    clock.now += 6
    assert budget.spend("ada").refused is False
    assert budget.spend("ada").refused is False, "both of the first two have left the window"
    assert budget.spend("ada").refused is True


def test_a_refused_request_costs_nothing(clock):
    budget = Budget("requests", [Rate(1, 10)], clock=clock)
    budget.spend("ada")
    for _ in range(5):
        clock.now += 1.75
        assert budget.spend("ada").refused
    clock.now += 1.25
    assert not budget.spend("ada").refused


def test_each_caller_has_a_budget_of_their_own(clock):
    budget = Budget("requests", [Rate(1, 10)], clock=clock)
    assert [budget.spend(who).refused for who in ("ada", "ben", "ada")] == [False, False, True]


def test_of_several_rates_the_tightest_counts(clock):
    budget = Budget("requests", [Rate(2, 1), Rate(3, 60)], clock=clock)
    assert budget.policies == '"requests-1";q=2;w=1, "requests-60";q=3;w=60'
    budget.spend("ada")
    budget.spend("ada")
    refused = budget.spend("ada")
    assert (refused.refused, refused.policy) == (True, "requests-1")
    clock.now += 1
    assert not budget.spend("ada").refused
    clock.now += 1
    refused = budget.spend("ada")
    assert (refused.policy, refused.more_in_s) == ("requests-60", 58.0)


def test_callers_that_are_gone_are_forgotten(clock):
    budget = Budget("requests", [Rate(5, 10)], clock=clock)
    for number in range(SWEEP_AT):
        budget.spend(str(number))
    clock.now += 11
    budget.spend("ada")
    assert len(budget._made) == 1


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("testclient", "testclient"),
    ],
)
def test_addresses_of_one_customer_count_as_one(address, network):
    assert network_of(address) == network


class TestOverHttp:
    @pytest.fixture
    def start(self, tmp_path, make_app):
        def make(client=("192.0.2.7", 5000), **settings):
            made = Settings(data_dir=tmp_path / "data", offline=True, **settings)
            return TestClient(make_app(made), client=client)

        return make

    def test_without_the_setting_nothing_is_counted(self, start):
        assert not [name for name in start().get("/openapi.json").headers if name.startswith("ratelimit")]
        assert not [name for name in start().get("/nowhere").headers if name.startswith("ratelimit")]

    def test_beyond_the_budget_there_is_a_problem_that_says_when_to_come_back(self, start):
        client = start(rate_limit="2/minute")
        allowed = client.get("/nowhere")
        assert allowed.headers["ratelimit-policy"] == '"requests";q=2;w=60'
        assert allowed.headers["ratelimit"] == '"requests";r=1;t=60'
        client.get("/nowhere")
        answer = client.get("/nowhere")
        assert (answer.status_code, answer.headers["content-type"]) == (429, "application/problem+json")
        assert 1 <= int(answer.headers["retry-after"]) <= 60
        assert answer.headers["ratelimit"].startswith('"requests";r=0;t=')
        assert answer.json()["violated-policies"] == ["requests"]
        assert "SIGHTGLASS_RATE_LIMIT" in answer.json()["detail"]
        assert answer.headers["x-content-type-options"] == "nosniff"

    @pytest.mark.parametrize("path", ["/health", "/api/health", "/docs", "/openapi.json"])
    def test_health_is_never_refused(self, start, path):
        with start(rate_limit="1/hour") as client:
            assert [client.get(path).status_code for _ in range(3)] == [200] * 3

    def test_predictions_have_a_budget_of_their_own(self, start):
        client = start(rate_limit="1/hour", rate_limit_predict="2/hour")
        assert [client.get("/nowhere").status_code for _ in range(2)] == [404, 429]
        assert [client.get("/predict").status_code for _ in range(3)] == [405, 405, 429]
        assert client.get("/api/cv/explain/md-1").status_code == 429
        assert client.get("/api/tabular/predict/md-1").status_code == 429

    def test_each_key_has_its_own_and_a_wrong_one_is_counted_for_the_address(self, start):
        client = start(rate_limit="2/hour", api_keys="ada:one,ben:two")

        def ask(key):
            return client.get("/nowhere", headers={"X-API-Key": key}).status_code

        assert [ask("one") for _ in range(3)] == [404, 404, 429]
        assert [ask("two") for _ in range(3)] == [404, 404, 429]
        assert [ask(guess) for guess in ("a", "b", "c")] == [401, 401, 429]

    def test_a_forwarded_header_of_anybody_changes_nothing(self, start):
        client = start(rate_limit="1/hour")
        answers = [client.get("/nowhere", headers={"X-Forwarded-For": f"192.0.2.{n}"}).status_code for n in range(2)]
        assert answers == [404, 429]


@pytest.mark.parametrize(
    ("text", "rates"),
    [
        ("120/minute", (Rate(120, 60),)),
        ("20/second, 5000/hour", (Rate(20, 1), Rate(5000, 3600))),
        ("1000 per 2 Hours", (Rate(1000, 7200),)),
        ("", ()),
    ],
)
def test_rates_are_read_from_the_environment(monkeypatch, text, rates):
    monkeypatch.setenv("SIGHTGLASS_RATE_LIMIT", text)
    assert Settings().rate_limit == rates


@pytest.mark.parametrize("text", ["many", "0/minute", "5/fortnight", "5/0 minutes", "-1/second", "120"])
def test_what_is_no_rate_stops_the_start(text):
    with pytest.raises(ValueError, match="is no rate"):
        Settings(rate_limit=text)
