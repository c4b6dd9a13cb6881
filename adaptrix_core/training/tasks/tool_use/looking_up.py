"""Skills that look something up: the weather, the time, a person, an order."""

from __future__ import annotations

from collections.abc import Mapping

from adaptrix_core.training.tasks.tool_use.skill import CITY, Skill, pick, whole
from adaptrix_core.training.tasks.tool_use.vocabulary import CITIES, COMPANIES, NAMES, TOPICS

LOOKING_UP: Mapping[str, Skill] = {
    "weather": Skill(
        names=("get_weather", "weather", "current_weather", "get_current_weather", "fetch_weather", "weather_lookup"),
        descriptions=(
            "Get the current weather of a city.",
            "Returns the weather.",
            "Current weather in a given city",
            "Get the weather for a location",
        ),
        parameters={"city": CITY},
        questions=(
            "What is the weather in {city}?",
            "What's the weather like in {city} today?",
            "Is it raining in {city}?",
            "How hot is it in {city} right now?",
            "Do I need an umbrella in {city}?",
            "Tell me the weather in {city}.",
            "Weather in {city}?",
            "Is it cold in {city}?",
        ),
        result=lambda values, rng: rng.choice(
            [
                {"temperature": rng.randint(-5, 38), "sky": rng.choice(["sunny", "cloudy", "rainy", "clear"])},
                f"{rng.choice(['sunny', 'rainy', 'cloudy', 'windy'])}, {rng.randint(-5, 38)} degrees",
                {"temp_c": rng.randint(-5, 38), "condition": rng.choice(["sunny", "snow", "fog"])},
            ]
        ),
        answers=(
            "The weather in {city} is {result}.",
            "In {city} it is {result}.",
            "It is {result} in {city} right now.",
        ),
    ),
    "time": Skill(
        names=("get_time", "current_time", "time_in_city", "clock"),
        descriptions=("Get the current time in a city.", "Tells the local time.", "Current time by city"),
        parameters={"city": CITY},
        questions=(
            "What time is it in {city}?",
            "Tell me the time in {city}.",
            "What's the local time in {city} now?",
            "Is it morning in {city}?",
        ),
        result=lambda values, rng: {"time": f"{rng.randint(0, 23):02d}:{rng.randint(0, 59):02d}"},
        answers=("It is {result} in {city}.", "The time in {city} is {result}."),
    ),
    "search": Skill(
        names=("search_web", "web_search", "search", "google"),
        descriptions=("Search the web for a query.", "Finds web pages.", "Search the internet"),
        parameters={"query": ("string", "What to search for", pick(TOPICS))},
        questions=(
            "Search the web for {query}.",
            "Find information about {query}.",
            "Look up {query} online.",
            "Can you google {query}?",
        ),
        result=lambda values, rng: {
            "results": [f"{values['query'].title()} explained", f"A guide to {values['query']}"][: rng.randint(1, 2)]
        },
        answers=("I found this about {query}: {result}.", "The search for {query} gives: {result}."),
    ),
    "stock": Skill(
        names=("get_stock_price", "stock_price", "quote"),
        descriptions=("Get the stock price of a company.", "Current share price"),
        parameters={"company": ("string", "Company name", pick(COMPANIES))},
        questions=(
            "What is the stock price of {company}?",
            "How much is a share of {company}?",
            "How is {company} trading?",
        ),
        result=lambda values, rng: {"price": rng.randint(20, 900), "currency": "USD"},
        answers=("A share of {company} costs {result}.", "{company} trades at {result}."),
    ),
    "order": Skill(
        names=("order_status", "track_order", "get_order"),
        descriptions=("Get the status of an order.", "Tracks an order by its number."),
        parameters={"order_id": ("integer", "Number of the order", whole(1000, 9999))},
        questions=(
            "Where is my order {order_id}?",
            "What is the status of order {order_id}?",
            "Track order number {order_id}.",
        ),
        result=lambda values, rng: {"status": rng.choice(["shipped", "delivered", "packed", "delayed"])},
        answers=("Order {order_id} is {result}.", "Your order {order_id}: {result}."),
    ),
    "user": Skill(
        names=("find_user", "get_user", "lookup_person", "user_info"),
        descriptions=("Find a user by name.", "Returns the data of a person."),
        parameters={"name": ("string", "Name of the user", pick(NAMES))},
        questions=("Find the user {name}.", "What do we know about {name}?", "Look up {name}'s account."),
        result=lambda values, rng: {"name": values["name"], "age": rng.randint(18, 80), "city": rng.choice(CITIES)},
        answers=("Here is what I found on {name}: {result}.",),
    ),
    "news": Skill(
        names=("get_news", "latest_news", "headlines"),
        descriptions=("Get the latest news.", "Today's headlines"),
        parameters={},
        questions=("What is in the news?", "Show me the latest headlines.", "Any news today?"),
        result=lambda values, rng: [f"New {rng.choice(TOPICS)} report", "Markets are calm"][: rng.randint(1, 2)],
        answers=("The latest news: {result}.",),
    ),
    "directions": Skill(
        names=("get_directions", "route", "navigate"),
        descriptions=("Find the way between two cities.", "Directions from start to destination"),
        parameters={
            "start": ("string", "Where to start", pick(CITIES[:15])),
            "destination": ("string", "Where to go", pick(CITIES[15:])),
        },
        questions=(
            "How do I get from {start} to {destination}?",
            "Directions from {start} to {destination}, please.",
            "Navigate from {start} to {destination}.",
        ),
        result=lambda values, rng: {"distance_km": rng.randint(50, 2000), "hours": rng.randint(1, 20)},
        answers=("From {start} to {destination}: {result}.",),
    ),
    "date": Skill(
        names=("today", "get_date", "current_date"),
        descriptions=("Returns today's date.", "The current date"),
        parameters={},
        questions=("What is the date today?", "Which day is it?", "Today's date?"),
        result=lambda values, rng: f"2026-{rng.randint(1, 12):02d}-{rng.randint(1, 28):02d}",
        answers=("Today is {result}.", "It is {result}."),
    ),
}
