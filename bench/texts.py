"""What the callers of the bench say."""

QUESTIONS = (
    "What are your opening hours?",
    "Where are you located?",
    "Can I book an appointment for tomorrow?",
    "How much does it cost?",
    "Do you accept credit cards?",
    "I'd like to talk to someone about my bill.",
    "Is there parking nearby?",
    "What is the capital of France?",
    "Tell me something about the moon.",
    "How do I reset my password?",
    "Can you help me with my order?",
    "My package has not arrived yet.",
    "When is the next train to London?",
    "Do you have vegetarian dishes?",
    "What time is it in New York?",
    "Could you repeat that, please?",
    "Who am I speaking with?",
    "I want to cancel my subscription.",
    "Is it going to rain tomorrow?",
    "How far is it to the airport?",
    "Yes, please.",
    "No, thank you.",
    "What languages do you speak?",
    "Can I change my reservation to Friday?",
    "How long will the delivery take?",
    "Do you sell gift cards?",
    "I forgot my umbrella at your office.",
    "What's the best way to reach you?",
    "Are you open on Sundays?",
    "How many people work there?",
    "Can I bring my dog?",
    "What do I need to bring with me?",
    "Please tell me a short joke.",
    "Is the doctor in today?",
    "I need a new appointment.",
    "What does the basic plan include?",
    "Do I have to pay in advance?",
    "Which bus goes to the city center?",
    "How old is the universe?",
    "Why is the sky blue?",
    "Can you recommend a good book?",
    "What should I cook for dinner?",
    "Do you offer discounts for students?",
    "How do I get a refund?",
    "My internet connection is very slow.",
    "Could I speak to a human being?",
    "What's your phone number?",
    "When does the museum close?",
    "Is there a waiting list?",
    "I would like two tickets for tonight.",
    "How tall is Mount Everest?",
    "Who wrote Romeo and Juliet?",
    "Can I get the invoice by email?",
    "What happens if I miss the deadline?",
    "Do you deliver to the suburbs?",
    "Tell me about your services.",
    "How do I make a good cup of coffee?",
    "Is breakfast included?",
    "What's the price of a single room?",
    "Thank you, that was all I wanted to know.",
)

# Long enough to pause in.
HESITANT = (
    "I would like to book a table for four people on Friday evening.",
    "Can you tell me when the next train leaves?",
    "My order number is on the letter that you sent me.",
    "I was wondering if you could help me with my account.",
    "We need a room with two beds and a view of the sea.",
    "The problem is that my phone doesn't ring any more.",
    "I want to speak to the person who wrote this message.",
    "Could you please send me the invoice again?",
    "I'm calling because the heating in my flat is broken.",
    "Do you know whether the shop is open on Sunday?",
    "Please put me through to the sales department.",
    "It should arrive on Monday or Tuesday at the latest.",
    "My name is Anna and I would like to change my address.",
    "I think that the second payment was a mistake.",
    "Is it possible to pay when I pick it up?",
)

# A caller who wants the floor. Long enough that the agent's silence can be seen.
INTERRUPTIONS = (
    "Sorry, can I ask you something else first?",
    "Wait a moment, that is not what I wanted to know.",
    "Excuse me, I only need to know your opening hours.",
    "No, stop, please tell me about the prices instead.",
    "I'm sorry, I have to interrupt you, what is your address?",
    "Hold on, I have a different question for you.",
    "Actually, I would like to speak to somebody else.",
    "That's enough, thank you, I want to make an appointment.",
)

BACKCHANNELS = ("Mm-hmm.", "Right.", "Uh-huh.", "Okay.", "Yeah.", "I see.", "Sure.", "Mhm.")

# flite spells out what isn't a word ("em em aitch em em"): as the sounds that people make.
HUMS = {
    "Mm-hmm.": "pau m m hh m m pau",
    "Mhm.": "pau m hh m pau",
    "Uh-huh.": "pau ah hh ah pau",
}

# The greeting of the persona that listens to interruptions and noises: long, and plain to follow.
LONG_GREETING = (
    "Hello, and welcome to the Harbour Museum. Before we begin, let me tell you what there is to see "
    "this season. On the ground floor you find the old fishing boats, which were built by hand more "
    "than a hundred years ago. On the first floor there is a large model of the harbour, with all of "
    "its cranes and bridges, and every hour the lights of the model are switched on. The second floor "
    "shows paintings of the sea from five different centuries. There is also a room in which children "
    "can learn to tie knots and to read a map of the stars. The cafe on the roof is open until the "
    "early evening, and on clear days you can see the lighthouse from there. Guided tours start at "
    "ten in the morning and at three in the afternoon. That is all for now, so how can I help you?"
)
