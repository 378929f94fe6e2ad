"""What the clouds sell, as the tables have it."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from skylift import catalog
from skylift.catalog.tables import table
from skylift.errors import InputError, NotFoundError

TABLES = ("shapes", "regions", "availability", "prices", "quotas", "resting")


@pytest.mark.parametrize("cloud", catalog.CLOUDS)
def test_every_accelerator_of_a_cloud_has_a_machine_and_every_machine_answers_to_its_name(cloud: str) -> None:
    for accelerator in catalog.offered(cloud):
        counts = {
            int(row["count"]) for row in table("shapes") if (row["cloud"], row["accelerator"]) == (cloud, accelerator)
        }
        for count in counts:
            for found in catalog.shapes(cloud, accelerator, count):
                assert found == catalog.shape(cloud, found.machine, accelerator, found.count)
                assert found.gpu_memory_gib > 0 or accelerator == "cpu"


def test_machines_come_cheapest_first() -> None:
    for cloud in catalog.CLOUDS:
        found = catalog.shapes(cloud, "cpu")
        prices = [known.usd_per_hour for shape in found if (known := catalog.price(cloud, shape.machine))]
        assert prices == sorted(prices) and len(prices) >= 2
        assert catalog.price(cloud, found[0].machine) is not None, "machines of unknown price come last"


@pytest.mark.parametrize(
    ("cloud", "accelerator", "machine"),
    [
        ("aws", "T4", "g4dn.xlarge"),
        ("aws", "L4", "g6.xlarge"),
        ("gcp", "L4", "g2-standard-4"),
        ("gcp", "T4", "n1-standard-4"),
        ("gcp", "A100-80GB", "a2-ultragpu-1g"),
        ("azure", "T4", "Standard_NC4as_T4_v3"),
        ("azure", "H100", "Standard_NC40ads_H100_v5"),
    ],
)
def test_the_usual_machine_of_an_accelerator(cloud: str, accelerator: str, machine: str) -> None:
    assert catalog.shapes(cloud, accelerator)[0].machine == machine


def test_an_accelerator_that_the_cloud_lacks_is_refused_with_what_it_has() -> None:
    with pytest.raises(NotFoundError) as caught:
        catalog.shapes("azure", "L4")
    assert "azure sells no L4" in caught.value.message and "T4, A10G" in caught.value.message
    with pytest.raises(NotFoundError, match="azure sells no V100"):
        catalog.shapes("azure", "V100")
    with pytest.raises(InputError, match="did you mean 'A10G'"):
        catalog.shapes("aws", "A10")


def test_a_count_that_no_machine_has_is_refused_with_the_counts_there_are() -> None:
    with pytest.raises(NotFoundError) as caught:
        catalog.shapes("aws", "A100", 1)
    assert "machines with 8 of them" in caught.value.message and "p4d.24xlarge" in caught.value.hint


def test_an_unknown_machine_is_refused_with_a_near_miss() -> None:
    with pytest.raises(NotFoundError, match=r"did you mean 'g6\.xlarge'"):
        catalog.shape("aws", "g6.xlarg")
    with pytest.raises(NotFoundError, match="carries no accelerator, 1 T4"):
        catalog.shape("gcp", "n1-standard-4", "L4")


def test_only_n1_declares_its_accelerators() -> None:
    t4, l4 = catalog.shapes("gcp", "T4")[0], catalog.shapes("gcp", "L4")[0]
    assert (t4.declared, t4.gce_accelerator, t4.vertex_accelerator) == (True, "nvidia-tesla-t4", "NVIDIA_TESLA_T4")
    assert (l4.declared, l4.gce_accelerator, l4.vertex_accelerator) == (False, "nvidia-l4", "NVIDIA_L4")
    mega = catalog.shape("gcp", "a3-megagpu-8g")
    assert (mega.gce_accelerator, mega.vertex_accelerator) == ("nvidia-h100-mega-80gb", "NVIDIA_H100_MEGA_80GB")
    plain = catalog.shape("gcp", "n1-standard-4")
    assert (plain.accelerator, plain.declared, plain.gce_accelerator) == ("cpu", False, "")
    assert catalog.shape("aws", "g6.xlarge").gce_accelerator == ""


def test_a_mistyped_region_is_refused_with_a_near_miss() -> None:
    with pytest.raises(InputError) as caught:
        catalog.check_region("gcp", "us-centrall1", key="skylift:region")
    assert caught.value.message == "skylift:region: gcp has no region 'us-centrall1'; did you mean 'us-central1'?"


def test_a_region_without_the_accelerator_is_refused_with_those_that_have_it() -> None:
    with pytest.raises(InputError) as caught:
        catalog.check_region("gcp", "europe-west6", "A100")
    assert "gcp has no A100 in europe-west6" in caught.value.message
    assert "not checked against a cloud" in caught.value.message
    assert "europe-west4" in caught.value.hint and "europe-west6" not in caught.value.hint
    with pytest.raises(InputError, match="gcp has no L4 in me-west1"):
        catalog.check_region("gcp", "me-west1", "L4")


def test_what_no_table_knows_is_allowed() -> None:
    catalog.check_region("aws", "eu-north-1", "H100")
    catalog.check_region("azure", "swedencentral", "H100")
    assert set(catalog.regions("azure", "H100")) == set(catalog.regions("azure"))


def test_zones_are_named_where_names_are_known() -> None:
    assert catalog.zones("gcp", "us-central1")[0] == "us-central1-a"
    assert catalog.zones("gcp", "us-east1") == ("us-east1-b", "us-east1-c", "us-east1-d")
    assert catalog.zones("gcp", "europe-west3", "T4") == ("europe-west3-b",)
    assert catalog.zones("gcp", "us-central1", "L4") == ("us-central1-a", "us-central1-b", "us-central1-c")
    assert catalog.zones("azure", "eastus") == ("1", "2", "3")
    assert catalog.zones("aws", "us-east-1") == ()


@pytest.mark.parametrize("cloud", catalog.CLOUDS)
@pytest.mark.parametrize("service", ["vm", "cluster", "managed"])
@pytest.mark.parametrize("use", ["training", "serving"])
def test_every_accelerator_has_a_quota_with_a_name_and_a_way_to_see_it(
    cloud: str, service: catalog.quotas.Service, use: catalog.quotas.Use
) -> None:
    for accelerator in catalog.offered(cloud):
        quota = catalog.quota(cloud, service, accelerator, use=use, region="here")
        assert quota.name and quota.unit in ("vCPUs", "accelerators", "machines")
        assert "here" in quota.hint and "{" not in quota.hint.replace("{region}", "{")


def test_quotas_of_spot_and_of_managed_services_are_others() -> None:
    assert catalog.quota("aws", "vm", "L4").code == "L-DB2E81BA"
    assert catalog.quota("aws", "vm", "L4", spot=True).code == "L-3819A6DF"
    assert catalog.quota("aws", "managed", "L4", use="serving").name == "ml.g6.xlarge for endpoint usage"
    assert catalog.quota("aws", "managed", "A100", spot=True).name == "ml.p4d.24xlarge for spot training job usage"
    assert catalog.quota("gcp", "managed", "L4", use="serving").code == "custom_model_serving_nvidia_l4_gpus"
    assert catalog.quota("azure", "vm", "T4", spot=True).code == "lowPriorityCores"
    with pytest.raises(NotFoundError, match="no spot"):
        catalog.quota("aws", "managed", "L4", spot=True, use="serving")
    with pytest.raises(NotFoundError, match="azure sells no L4"):
        catalog.quota("azure", "vm", "L4")


def test_a_price_is_dated_and_never_guessed() -> None:
    known = catalog.price("aws", "g6.xlarge")
    assert known and known.usd_per_hour == 0.8048 and known.region == "us-east-1" and known.dated and known.source
    assert catalog.price("aws", "g6.xlarge", region="eu-west-1") is None
    assert catalog.price("aws", "g6.2xlarge") is None
    spot, full = catalog.price("gcp", "a2-highgpu-1g", spot=True), catalog.price("gcp", "a2-highgpu-1g")
    assert spot and full and spot.usd_per_hour < full.usd_per_hour
    assert catalog.price("gcp", "n1-standard-4") is None, "the machine alone costs less than with its T4"
    assert catalog.price("gcp", "n1-standard-4", accelerator="T4", count=1)


@pytest.mark.parametrize("name", TABLES)
def test_every_row_names_its_source_and_date(name: str) -> None:
    rows = table(name)
    assert rows
    for row in rows:
        assert None not in row and None not in row.values(), f"{name}: {row} has more or fewer columns than its head"
        if name != "shapes":
            assert row["source"] and row["dated"], row


def test_spot_is_never_dearer_than_on_demand() -> None:
    for row in table("prices"):
        if row["market"] == "spot":
            full = catalog.price(row["cloud"], row["machine"], accelerator=row["accelerator"], count=int(row["count"]))
            assert full and float(row["usd_per_hour"]) < full.usd_per_hour, row


def test_availability_speaks_of_regions_and_accelerators_that_exist() -> None:
    for row in table("availability"):
        assert row["region"] in catalog.regions(row["cloud"]), row
        assert row["accelerator"] in catalog.offered(row["cloud"]), row
        zones = catalog.zones(row["cloud"], row["region"])
        assert not row["zones"] or {f"{row['region']}-{letter}" for letter in row["zones"]} <= set(zones), row
    for row in table("prices"):
        assert row["region"] in catalog.regions(row["cloud"]), row
        catalog.shape(row["cloud"], row["machine"], row["accelerator"], int(row["count"]))


def test_what_rests_is_priced_alike_in_all_clouds() -> None:
    common = (
        "nat",
        "public-ip",
        "interface-endpoint",
        "load-balancer",
        "control-plane",
        "key",
        "secret",
        "alarm",
        "reaper",
    )
    for cloud in catalog.CLOUDS:
        for key in common:
            (item,) = catalog.resting(cloud, key)
            assert item.usd_per_month >= 0 and item.unit and item.source.startswith("https://")


def test_asking_takes_less_than_ten_milliseconds() -> None:
    table.cache_clear()
    began = time.process_time()
    catalog.shapes("gcp", "L4")
    catalog.check_region("gcp", "us-central1", "L4")
    catalog.quota("gcp", "vm", "L4")
    assert time.process_time() - began < 0.05  # 3 ms on an idle machine


def test_the_catalog_needs_nothing_but_python_itself() -> None:
    code = "import sys, skylift.catalog; print({name.partition('.')[0] for name in sys.modules} - set(sys.stdlib_module_names))"
    out = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True).stdout
    others = {name for name in eval(out) if not name.startswith("_")}
    assert others == {"skylift"}, out


def test_the_tables_go_with_the_package() -> None:
    folder = Path(catalog.__file__).parent
    assert {path.stem for path in folder.glob("*.csv")} == set(TABLES)
