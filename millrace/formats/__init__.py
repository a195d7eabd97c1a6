"""Other people's project files become the same Project: serverless.yml, SAM and CloudFormation, Zappa.

    file → a tree whose nodes know their places → a tree in millrace.yml's words → config/load.py examines it

Since the nodes keep the places of the file they came from, every fault and warning names the line of that file.
"""
