#!/usr/bin/env python3
"""Writes src/catalog/azure_table.cc from the tables in this folder. Run it after changing one: data/catalog/generate.py

The naming convention of Azure's sizes (family, sub-family, vCPUs, constrained vCPUs, additive features, accelerator,
version) finds a size's row in azure_families.csv; a name that has no row there is an error, never a guess. GPUs and
InfiniBand come from azure_accelerators.csv alone.
"""
import csv
import pathlib
import re
import sys

FOLDER = pathlib.Path(__file__).resolve().parent
TARGET = FOLDER.parent.parent / "src" / "catalog" / "azure_table.cc"
# https://learn.microsoft.com/azure/virtual-machines/vm-naming-conventions
NAME = re.compile(r"Standard_(?P<family>[A-Z]+)(?P<vcpus>\d+)(-(?P<constrained>\d+))?(?P<rest>[a-z]*(_\w+)?)")


def read(name):
    with open(FOLDER / name, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(line for line in file if not line.startswith("#")))


def main():
    families = {row["series"]: row for row in read("azure_families.csv")}
    accelerators = {row["size"]: row for row in read("azure_accelerators.csv")}
    used, lines, trouble = set(), [], []
    for row in sorted(read("azure_sizes.csv"), key=lambda row: row["size"].lower()):
        size = row["size"]
        name = NAME.fullmatch(size)
        key = size if size in families else name and name["family"] + name["rest"]
        if key not in families:
            trouble.append(f"{size}: no row in azure_families.csv for {key}")
            continue
        family = families[key]
        accelerator = accelerators.get(size)
        if accelerator is None and name["family"][0] in "NH":
            trouble.append(f"{size}: no row in azure_accelerators.csv, which lists every size of N and H")
            continue
        used |= {key, size}
        flags = ("a" if family["architecture"] == "Arm64" else "") + ("s" if family["spot"] == "yes" else "")
        flags += "p" if family["premium_storage"] == "yes" else ""
        flags += "r" if accelerator and accelerator["rdma"] == "yes" else ""
        gpus = f'{accelerator["gpus"]} {accelerator["gpu_model"]}' if accelerator and accelerator["gpus"] != "0" else ""
        fields = [size.removeprefix("Standard_"), row["vcpus"], name["constrained"] or "", row["memory_mib"],
                  row["usd_per_hour"], row["price_region"], family["quota_family"], flags, gpus]
        lines.append(",".join(fields))
    trouble += [f"{key}: a row that no size uses" for key in [*families, *accelerators] if key not in used]
    if trouble:
        sys.exit("\n".join(trouble))
    # What neighbours have in common is written once: a field that is "=" repeats the line before.
    text, before = [], [""] * 9
    for line in lines:
        fields = line.split(",")
        text.append(",".join("=" if i > 3 and f and f == b else f for i, (f, b) in enumerate(zip(fields, before))))
        before = fields
    body = "\n".join(f'    "{line}\\n"' for line in text)
    TARGET.write_text(f"""// Made by data/catalog/generate.py; don't edit. {len(lines)} sizes.
#include "catalog/azure_table.h"

namespace slipway::catalog {{

// clang-format off
const char azure_table[] =
{body};
// clang-format on

}}  // namespace slipway::catalog
""", encoding="utf-8")


if __name__ == "__main__":
    main()
