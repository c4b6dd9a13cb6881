"""Skills that do something: send, set, play, note."""

from __future__ import annotations

from collections.abc import Mapping

from adaptrix_core.training.tasks.tool_use.skill import Skill, pick, whole
from adaptrix_core.training.tasks.tool_use.vocabulary import ITEMS, NAMES, ROOMS, SONGS, TASKS

ACTING: Mapping[str, Skill] = {
    "email": Skill(
        names=("send_email", "email", "mail_send"),
        descriptions=("Send an email.", "Sends an e-mail to a person."),
        parameters={
            "to": ("string", "Who gets it", pick(NAMES)),
            "subject": ("string", "Subject line", pick(["Lunch", "Report", "Meeting", "Holiday", "Invoice", "Thanks"])),
        },
        questions=(
            "Send an email to {to} with the subject {subject}.",
            "Email {to} about '{subject}'.",
            "Write {to} a mail, subject {subject}.",
        ),
        result=lambda values, rng: {"status": "sent"},
        answers=("The email to {to} has been sent.", "Done: the email '{subject}' was sent to {to}."),
    ),
    "timer": Skill(
        names=("set_timer", "start_timer", "timer"),
        descriptions=("Set a timer.", "Starts a countdown in minutes."),
        parameters={"minutes": ("integer", "Length in minutes", whole(1, 60))},
        questions=(
            "Set a timer for {minutes} minutes.",
            "Start a {minutes} minute timer.",
            "Wake me in {minutes} minutes.",
        ),
        result=lambda values, rng: {"status": "ok"},
        answers=("The timer is set for {minutes} minutes.", "Your {minutes} minute timer has started."),
    ),
    "reminder": Skill(
        names=("create_reminder", "remind_me", "add_reminder"),
        descriptions=("Create a reminder.", "Reminds the user of something."),
        parameters={
            "task": ("string", "What to be reminded of", pick(TASKS)),
            "hour": ("integer", "Hour of the day", whole(7, 22)),
        },
        questions=("Remind me to {task} at {hour} o'clock.", "Set a reminder at {hour}: {task}."),
        result=lambda values, rng: {"created": True},
        answers=("I will remind you to {task} at {hour} o'clock.",),
    ),
    "music": Skill(
        names=("play_music", "play_song", "music_player"),
        descriptions=("Play a song.", "Starts playing music."),
        parameters={"song": ("string", "Title", pick(SONGS))},
        questions=("Play {song}.", "I want to hear {song}.", "Put on the song {song}, please."),
        result=lambda values, rng: {"playing": True},
        answers=("Now playing {song}.", "{song} is playing."),
    ),
    "lights": Skill(
        names=("set_lights", "switch_light", "light_control"),
        descriptions=("Switch the lights of a room.", "Turn lights on or off"),
        parameters={
            "room": ("string", "Which room", pick(ROOMS)),
            "on": ("boolean", "Whether they are on", pick([True])),
        },
        questions=(
            "Turn on the lights in the {room}.",
            "Switch on the {room} lights.",
            "Lights on in the {room}, please.",
        ),
        result=lambda values, rng: {"ok": True},
        answers=("The lights in the {room} are on.",),
    ),
    "shopping": Skill(
        names=("add_to_list", "add_item", "shopping_list_add"),
        descriptions=("Add an item to the shopping list.", "Puts something on the list."),
        parameters={"item": ("string", "The item", pick(ITEMS))},
        questions=("Add {item} to my shopping list.", "Put {item} on the list.", "We need {item}, note it."),
        result=lambda values, rng: {"count": rng.randint(1, 9)},
        answers=("I have added {item} to your list.", "{item} is on the list now."),
    ),
}
