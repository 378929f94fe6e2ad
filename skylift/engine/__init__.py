"""The Pulumi engine: found or built, run, and its words turned into ours. Importing this loads nothing heavy."""

from skylift.engine.environment import environment
from skylift.engine.events import Message, OnEvent, ResourceStep, Summary
from skylift.engine.find import Tool, find_pulumi
from skylift.engine.leftovers import Leftovers, delete_data, leftovers
from skylift.engine.progress import BuildProgress, OnBuild
from skylift.engine.run import Engine

__all__ = [
    "BuildProgress",
    "Engine",
    "Leftovers",
    "Message",
    "OnBuild",
    "OnEvent",
    "ResourceStep",
    "Summary",
    "Tool",
    "delete_data",
    "environment",
    "find_pulumi",
    "leftovers",
]
