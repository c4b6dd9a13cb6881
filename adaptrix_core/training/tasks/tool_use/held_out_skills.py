"""Skills that are never trained on, by which it is measured what carries over to new functions."""

from __future__ import annotations

from collections.abc import Mapping

from adaptrix_core.training.tasks.tool_use.skill import CITY, Skill, pick, whole
from adaptrix_core.training.tasks.tool_use.vocabulary import ROOMS

HELD_OUT: Mapping[str, Skill] = {
    "thermostat": Skill(
        names=("set_temperature", "thermostat"),
        descriptions=("Set the temperature of a room.", "Heating control"),
        parameters={
            "room": ("string", "Which room", pick(ROOMS)),
            "degrees": ("integer", "Target in degrees", whole(15, 25)),
        },
        questions=("Set the {room} to {degrees} degrees.", "Make it {degrees} degrees in the {room}."),
        result=lambda values, rng: {"ok": True},
        answers=("The {room} is set to {degrees} degrees.",),
    ),
    "population": Skill(
        names=("get_population", "population_of"),
        descriptions=("Number of people who live in a city.", "Population by city"),
        parameters={"city": CITY},
        questions=("How many people live in {city}?", "What is the population of {city}?"),
        result=lambda values, rng: {"population": rng.randint(100, 9000) * 1000},
        answers=("{city} has {result} people.",),
    ),
    "ticket": Skill(
        names=("create_ticket", "open_issue"),
        descriptions=("Open a support ticket.", "Creates an issue for the support team."),
        parameters={
            "title": (
                "string",
                "What is wrong",
                pick(["Printer broken", "Login fails", "Screen is black", "No internet"]),
            )
        },
        questions=("Open a ticket: {title}.", "Create a support ticket with the title {title}."),
        result=lambda values, rng: {"id": rng.randint(100, 999)},
        answers=("The ticket is open: {result}.",),
    ),
    "delete": Skill(
        names=("delete_file", "remove_file"),
        descriptions=("Delete a file.", "Removes a file from disk."),
        parameters={"path": ("string", "Path of the file", pick(["notes.txt", "old.csv", "draft.docx", "photo.png"]))},
        questions=("Delete the file {path}.", "Please remove {path}."),
        result=lambda values, rng: {"deleted": True},
        answers=("I have deleted {path}.",),
    ),
}
